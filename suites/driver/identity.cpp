#include <filesystem>

#include <fmt/format.h>

#include "fixtures/version.h"
#include "suites/driver/diagnosis.h"
#include "suites/driver/driver_test.h"
#include "suites/driver/findings.h"

namespace conformance::driver {
namespace {

class Identity : public DriverTest {
 protected:
  /// One driver's libraries carry its version in their names; where they carry none they lie
  /// together.
  static bool of_one_driver(const Library& one, const Library& other) {
    const auto version = DriverVersion::from_file_name(one.real_path());
    const auto other_version = DriverVersion::from_file_name(other.real_path());
    if (version && other_version) return *version == *other_version;
    namespace fs = std::filesystem;
    return fs::path(one.real_path()).parent_path() == fs::path(other.real_path()).parent_path() ||
           fs::path(one.path()).parent_path() == fs::path(other.path()).parent_path();
  }
};

TEST_F(Identity, NvmlBelongsToTheSameDriver) {
  claim("libnvidia-ml.so.1 is found and comes from the driver that libcuda.so.1 comes from",
        "NVML API: the library is part of the driver");
  const DriverTable cuda = driver();
  const NvmlTable management = NvmlTable::open();
  const Library& library = management.library();
  if (!library.is_open())
    fail_and_end(Finding(nvml_missing, library_subject(library), library.error()));
  fact("driver.nvml", library.real_path());
  const auto version = DriverVersion::from_file_name(cuda.library().real_path());
  const auto own = DriverVersion::from_file_name(library.real_path());
  const bool forward =
      version && own && is_forward_compatible(*version, cuda.library().real_path(), *own);
  if (expect(forward || of_one_driver(cuda.library(), library),
             Finding(libraries_mixed, library_subject(library),
                     fmt::format("libcuda.so.1 is {}, but libnvidia-ml.so.1 is {}",
                                 cuda.library().real_path(), library.real_path())))) {
    verified(1, "libraries");
  }
}

TEST_F(Identity, TheCompilerForPtxIsThere) {
  claim("The driver's compiler for PTX can be loaded and belongs to the same driver",
        "CUDA Driver API: CUDA_ERROR_JIT_COMPILER_NOT_FOUND");
  const DriverTable cuda = driver();
  Library compiler = Library::open("libnvidia-ptxjitcompiler.so.1");
  const auto version = DriverVersion::from_file_name(cuda.library().real_path());
  // Container tools may pass in the file under its full name only, which the driver can use as
  // well.
  if (!compiler.is_open() && version) {
    compiler = Library::open("libnvidia-ptxjitcompiler.so." + version->text);
  }
  if (!compiler.is_open()) {
    fail_and_end(Finding(jit_library_missing, library_subject(compiler), compiler.error()));
  }
  fact("driver.ptx-compiler", compiler.real_path());
  if (expect(of_one_driver(cuda.library(), compiler),
             Finding(libraries_mixed, library_subject(compiler),
                     fmt::format("libcuda.so.1 is {}, but its compiler for PTX is {}",
                                 cuda.library().real_path(), compiler.real_path())))) {
    verified(1, "libraries");
  }
}

}  // namespace
}  // namespace conformance::driver
