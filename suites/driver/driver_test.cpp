#include "suites/driver/driver_test.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/child.h"
#include "suites/driver/findings.h"

namespace conformance::driver {

Subject library_subject(const Library& library) {
  return {"library", library.path().empty() ? library.name() : library.path()};
}

HostFacts DriverTest::host() { return read_host_facts(Session::current().settings().host_root); }

DriverTable DriverTest::driver() {
  DriverTable table = DriverTable::open();
  if (!table.library().is_open()) {
    const HostFacts seen = host();
    const char* path = std::getenv("LD_LIBRARY_PATH");
    Evidence evidence = host_evidence(seen);
    evidence.add("loader", table.library().error());
    evidence.add("LD_LIBRARY_PATH", path != nullptr ? path : "");
    evidence.add("directories searched", fmt::format("{}", fmt::join(library_search_path(), ":")));
    fail_and_end(
        Finding(diagnose_load_error(table.library().error()), library_subject(table.library()),
                fmt::format("{}; the host has {}", table.library().error(), seen.describe_gpus()),
                evidence));
  }
  return table;
}

DriverLibrary DriverTest::driver_library(const DriverTable& table) {
  std::error_code none;
  return {table.library().path(), table.library().real_path(),
          std::filesystem::canonical("/run/opengl-driver/lib/libcuda.so.1", none).string()};
}

std::vector<std::filesystem::path> DriverTest::suite_programs() {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  std::error_code error;
  for (const fs::directory_entry& layer :
       fs::directory_iterator(fs::path(own_executable()).parent_path().parent_path(), error)) {
    fs::path file = layer.path() / ("conformance_" + layer.path().filename().string());
    if (fs::is_regular_file(file, error)) files.push_back(std::move(file));
  }
  return files;
}

std::unique_ptr<NvmlSession> DriverTest::nvml() {
  std::unique_ptr<NvmlSession> session;
  const Status status = NvmlSession::open(session);
  if (!status.ok()) {
    const FindingKind* kind = &nvml_failed;
    if (status.code() == static_cast<int>(nvml::Return::library_not_found)) kind = &nvml_missing;
    if (status.code() == static_cast<int>(nvml::Return::lib_rm_version_mismatch)) {
      kind = &version_mismatch;
    }
    Evidence evidence = host_evidence(host());
    evidence.add("code", status.code());
    fail_and_end(Finding(*kind, {"library", "libnvidia-ml.so.1"}, status.describe(), evidence));
  }
  return session;
}

}  // namespace conformance::driver
