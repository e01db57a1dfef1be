#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "fixtures/child_task.h"
#include "fixtures/deadline.h"
#include "fixtures/elf.h"
#include "fixtures/process_libraries.h"
#include "fixtures/version.h"
#include "suites/driver/diagnosis.h"
#include "suites/driver/driver_test.h"
#include "suites/driver/findings.h"

namespace conformance::driver {
namespace {

class Identity : public DriverTest {
 protected:
  static bool of_one_driver(const Library& one, const Library& other) {
    return conformance::of_one_driver({one.path(), one.real_path()},
                                      {other.path(), other.real_path()});
  }

  /// What a fresh process has of interest once it has loaded the libraries of these names.
  static std::vector<ProcessLibrary> loaded_by_a_process(std::vector<std::string> names) {
    ChildOptions options = child_task("load-libraries", std::move(names));
    options.deadline = deadline_of(std::chrono::seconds(30));
    const ChildResult child = run_child(options);
    if (!child.succeeded()) {
      fail_and_end(Finding(finding::unexplained, host_subject(),
                           fmt::format("a process that loads CUDA's libraries {}: {}",
                                       child.describe(), child.error)));
    }
    std::vector<ProcessLibrary> libraries;
    std::istringstream lines(child.output);
    for (std::string name, path, real_path; std::getline(lines, name, '\t') &&
                                            std::getline(lines, path, '\t') &&
                                            std::getline(lines, real_path);) {
      libraries.push_back({name, {path, real_path}, {}});
    }
    return libraries;
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
  // well; but it gives up at one with the short name that is broken.
  const bool absent = compiler.error().find("No such file or directory") != std::string::npos;
  if (!compiler.is_open() && absent && version) {
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

TEST_F(Identity, TheOtherCompanionsAreThere) {
  claim("The libraries that libcuda loads when it needs them can be loaded and are of its driver",
        "NVIDIA driver README: Installed Components");
  const DriverTable cuda = driver();
  const HostFacts seen = host();
  const std::string& file = cuda.library().real_path();
  auto version = DriverVersion::from_file_name(file);
  if (!version && seen.module) version = seen.module->version;
  if (!version) skip("nothing tells the driver's version, which decides on its companions");
  struct Companion {
    std::string_view stem, number;
    int since;    ///< the first branch that has it
    bool always;  ///< else it is looked for only if it lies beside libcuda: CUDA does without
  };
  static constexpr std::array kCompanions{Companion{"libnvidia-nvvm", "4", 470, true},
                                          Companion{"libnvidia-gpucomp", "", 545, false}};
  int looked_for = 0;
  for (const Companion& companion : kCompanions) {
    const std::string full = fmt::format("{}.so.{}", companion.stem, version->text);
    std::error_code error;
    const bool beside =
        std::filesystem::exists(std::filesystem::path(file).parent_path() / full, error);
    if (version->major < companion.since || (!companion.always && !beside)) continue;
    ++looked_for;
    const std::string name =
        companion.number.empty() ? full : fmt::format("{}.so.{}", companion.stem, companion.number);
    Library library = Library::open(name);
    if (!library.is_open()) library = Library::open(full);
    if (!expect(library.is_open(),
                Finding(companion_missing, {"library", name}, library.error()))) {
      continue;
    }
    fact(fmt::format("driver.companion.{}", companion.stem), library.real_path());
    if (expect(of_one_driver(cuda.library(), library),
               Finding(libraries_mixed, library_subject(library),
                       fmt::format("libcuda.so.1 is {}, but {} is {}", file, name,
                                   library.real_path())))) {
      verified(1, "libraries");
    }
  }
  if (looked_for == 0) skip(fmt::format("driver {} has no other companions", version->text));
}

TEST_F(Identity, TheNameWithoutNumberLeadsToTheSameDriver) {
  claim("libcuda.so, where the loader finds one, is of the driver that libcuda.so.1 is of",
        "CUDA Compatibility: the driver installs libcuda.so.1; libcuda.so is for development");
  const DriverTable cuda = driver();
  const Library unversioned = Library::open("libcuda.so");
  fact("driver.library.unversioned",
       unversioned.is_open() ? unversioned.real_path() : std::string("not found"));
  const auto directory = [](const Library& library) {
    return std::filesystem::path(library.real_path()).parent_path();
  };
  // Under WSL the names are copies of each other.
  expect(!unversioned.is_open() || directory(unversioned) == directory(cuda.library()),
         Finding(libraries_mixed, library_subject(unversioned),
                 fmt::format("libcuda.so.1 is {}, but libcuda.so is {}", cuda.library().real_path(),
                             unversioned.real_path())));
  verified(1, "names");
}

TEST_F(Identity, AProcessHasOneOfEachLibrary) {
  claim(
      "A process that has loaded what the suites link to, libcuda, NVML and the driver's compilers "
      "has one file of each library, the C and C++ libraries included, and libraries of one driver",
      "CUDA Compatibility: the driver's libraries are installed together; ld.so(8)");
  const HostFacts seen = host();
  if (seen.wsl) skip("under WSL the driver's libcuda loads another of the same name");
  std::vector<std::string> names{"libcuda.so.1", "libnvidia-ml.so.1",
                                 "libnvidia-ptxjitcompiler.so.1", "libnvidia-nvvm.so.4"};
  for (const std::filesystem::path& program : suite_programs()) {
    const ElfReading read = read_elf(program.string());
    if (read.elf) names.insert(names.end(), read.elf->needed.begin(), read.elf->needed.end());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  const std::vector<ProcessLibrary> libraries = loaded_by_a_process(std::move(names));
  for (const LibraryConflict& conflict : library_conflicts(libraries)) {
    const bool twice = conflict.kind == LibraryConflict::Kind::twice;
    fail(Finding(twice ? library_twice : libraries_mixed, {"library", conflict.name},
                 fmt::format("one process has {} and {}{}", conflict.one, conflict.other,
                             twice ? "" : ", which are of two drivers"),
                 {{"one", conflict.one}, {"other", conflict.other}}));
  }
  verified(libraries.size(), "libraries");
}

}  // namespace
}  // namespace conformance::driver
