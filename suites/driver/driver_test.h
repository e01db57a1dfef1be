#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fixtures/driver_table.h"
#include "fixtures/host_facts.h"
#include "fixtures/nvml_table.h"
#include "fixtures/test.h"
#include "suites/driver/diagnosis.h"

namespace conformance::driver {

/// Base of the layer's tests.
class DriverTest : public ConformanceTest {
 protected:
  static HostFacts host();
  /// libcuda.so.1; ends the test with a finding if it cannot be loaded.
  static DriverTable driver();
  /// Where that library lies.
  static DriverLibrary driver_library(const DriverTable& table);
  /// The suites' executables, which lie beside this one in folders named after their layers:
  /// <layer>/conformance_<layer>.
  static std::vector<std::filesystem::path> suite_programs();
  /// NVML, initialised; ends the test with a finding if that fails.
  static std::unique_ptr<NvmlSession> nvml();
};

Subject library_subject(const Library& library);

}  // namespace conformance::driver
