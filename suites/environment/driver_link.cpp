#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "fixtures/elf.h"
#include "suites/environment/environment_test.h"
#include "suites/environment/findings.h"

namespace conformance::environment {
namespace {

namespace fs = std::filesystem;

class DriverLink : public EnvironmentTest {};

TEST_F(DriverLink, LeadsToADriverLibrary) {
  claim(any_origin() ? "libcuda.so.1 beside the toolkit's libraries, if there is one, is a driver's"
                     : "CUDA_PATH/lib/libcuda.so.1 is there and is a driver's",
        "CUDA Compatibility: the driver, not the toolkit, provides libcuda.so.1");
  const Toolkit found = toolkit();
  const std::string link = found.root() + "/lib/libcuda.so.1";
  std::error_code error;
  if (!fs::exists(fs::symlink_status(link, error))) {
    expect(any_origin(),
           Finding(driver_link_missing, file_subject(link), fmt::format("there is no {}", link)));
    verified(1, "directories that hold no other libcuda.so.1");
    return;
  }
  const fs::path target = fs::canonical(link, error);
  if (error) {
    std::error_code no_link;
    fail_and_end(Finding(driver_link_dangling, file_subject(link),
                         fmt::format("{} cannot be followed: {}", link, error.message()),
                         {{"points to", fs::read_symlink(link, no_link).string()}}));
  }
  const ElfReading read = read_elf(target.string());
  if (!read.elf || !read.elf->loadable_here() || !read.elf->exports("cuInit")) {
    fail_and_end(Finding(
        driver_link_wrong, file_subject(link),
        fmt::format("{} leads to {}: {}", link, target.string(),
                    !read.elf                    ? read.error
                    : !read.elf->loadable_here() ? "it is a " + read.elf->describe()
                                                 : std::string("it does not export cuInit"))));
  }
  const StubEvidence stub = stub_evidence(*read.elf, target.string());
  expect(!stub.proven(),
         Finding(driver_link_stub, file_subject(link),
                 fmt::format("{} leads to {}: {}", link, target.string(), stub.describe())));
  fact("toolkit.driver-link", target.string());
  verified(1, "links");
}

}  // namespace
}  // namespace conformance::environment
