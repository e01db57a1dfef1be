#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/toolkit.h"
#include "suites/driver/diagnosis.h"
#include "suites/driver/driver_test.h"
#include "suites/driver/findings.h"

namespace conformance::driver {
namespace {

class EntryPoints : public DriverTest {};

TEST_F(EntryPoints, EveryFunctionUpToTheDriversVersionResolves) {
  claim(
      "cuGetProcAddress finds every function that the toolkit's headers declare up to the driver's "
      "own "
      "CUDA version",
      "CUDA Driver API: Driver Entry Point Access");
  const DriverTable table = driver();
  const CudaPath path = read_cuda_path(std::getenv("CUDA_PATH"));
  const auto header = Toolkit(path.real_path, true).header("cudaTypedefs.h");
  const Reading<std::string> text = header ? read_text_file(*header) : Reading<std::string>();
  if (!text) skip(fmt::format("cudaTypedefs.h of the toolkit: {}", text.describe()));

  int supported = 0;
  const Status status = CONFORMANCE_CALL(table.cuDriverGetVersion(&supported));
  if (!status.ok()) {
    fail_and_end(Finding(not_a_driver, library_subject(table.library()), status.describe()));
  }
  std::vector<std::string> missing;
  std::uint64_t resolved = 0;
  for (const DeclaredFunction& function : parse_typedefs(*text)) {
    if (function.since > supported) continue;
    void* address = nullptr;
    const CUresult code = table.cuGetProcAddress_v2(function.name.c_str(), &address, function.since,
                                                    CU_GET_PROC_ADDRESS_DEFAULT, nullptr);
    if (code == CUDA_SUCCESS && address != nullptr) {
      ++resolved;
    } else {
      missing.push_back(fmt::format("{} (CUDA {}.{})", function.name, function.since / 1000,
                                    function.since % 1000 / 10));
    }
  }
  if (expect(missing.empty(),
             Finding(
                 entry_point_missing, library_subject(table.library()),
                 fmt::format("{} of {} functions do not resolve, such as {}", missing.size(),
                             missing.size() + resolved, missing.empty() ? "none" : missing.front()),
                 {{"missing", fmt::format("{}", fmt::join(missing, ", "))}}))) {
    verified(resolved, "functions");
  }
}

TEST_F(EntryPoints, TheLibrariesExportWhatTheSuiteCalls) {
  claim("libcuda and NVML export the functions that monitoring and device selection rest on",
        "CUDA Driver API: Device Management; NVML API: Device Queries");
  const auto check = [](const Library& library, const std::vector<std::string_view>& missing) {
    if (expect(missing.empty(), Finding(entry_point_missing, library_subject(library),
                                        fmt::format("{} lacks {}", library.real_path(),
                                                    fmt::join(missing, ", "))))) {
      verified(1, "libraries");
    }
  };
  const DriverTable cuda = driver();
  check(cuda.library(), cuda.missing());
  const NvmlTable management = NvmlTable::open();
  if (!management.library().is_open()) {
    fail_and_end(
        Finding(nvml_missing, library_subject(management.library()), management.library().error()));
  }
  check(management.library(), management.missing());
}

}  // namespace
}  // namespace conformance::driver
