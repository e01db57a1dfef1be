// Projects that are built with the toolkit's libraries, by CMake and by pkg-config.

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/scratch_folder.h"
#include "suites/toolchain/findings.h"
#include "suites/toolchain/toolchain_test.h"

namespace conformance::toolchain {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kShort{60}, kCompile{120};

class Consumers : public ToolchainTest {
 protected:
  /// The file that `path` leads to; the path itself if it leads nowhere.
  static std::string real(const std::string& path) {
    std::error_code error;
    const fs::path file = fs::canonical(path, error);
    return error ? path : file.string();
  }

  /// The toolkit that an nvcc says that it works in; empty if it does not say.
  static std::string home_of(const std::string& nvcc) {
    constexpr std::string_view kMark = "#$ TOP=";
    const ChildResult said = run({nvcc, "--dryrun", "-x", "cu", "-c", "/dev/null"}, kShort);
    std::istringstream lines(said.output);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(kMark)) return real(line.substr(kMark.size()));
    }
    return {};
  }

  /// The toolkit's own file under a name that it is found by: a library's, or a header's.
  static std::string own_file(const Toolkit& toolkit, std::string_view name) {
    if (name.ends_with(".h")) return real(toolkit.header(name).value_or(""));
    const auto libraries = toolkit.libraries(name);
    return libraries.empty() ? "" : libraries.front().real_path;
  }

  /// The name, such as "cublas-13.0", of a library's .pc file in one of the folders; empty if there
  /// is none.
  static std::string package_in(const std::vector<std::string>& folders,
                                const std::string& library) {
    for (const std::string& folder : folders) {
      std::error_code error;
      for (fs::directory_iterator file(folder, error), end; !error && file != end;
           file.increment(error)) {
        std::string name = file->path().stem().string();
        if (file->path().extension() != ".pc") continue;
        if (name == library || name.starts_with(library + "-")) return name;
      }
    }
    return {};
  }

  /// Runs the program made of libraries.cpp, and looks at what it says.
  static void expect_own_libraries(const Toolkit& toolkit, const std::string& program) {
    const ChildResult ran = run({program}, kShort);
    if (!ran.succeeded()) {
      fail_and_end(Finding(
          consumer_failed, file_subject(program),
          fmt::format("it was built, {} and printed {}", ran.describe(), readable(ran.output)),
          {{"output", ran.output}}));
    }
    // The simulator's libraries come from elsewhere, and are asked for.
    const bool anywhere = Session::current().settings().simulated;
    std::istringstream lines(ran.output);
    std::string name, file;
    for (int header = 0, library = 0;
         lines >> name >> header >> library && std::getline(lines >> std::ws, file);) {
      const std::string own = own_file(toolkit, name);
      expect(header == library && (anywhere || real(file) == own),
             Finding(another_library_loaded, {"library", name},
                     fmt::format("the program was built for version {} and loaded {}, which is of "
                                 "version {}; CUDA_PATH has {}",
                                 header, file, library, own),
                     {{"file", file}, {"toolkit", own}}));
      verified(1, "libraries");
    }
  }
};

TEST_F(Consumers, TheNvccOfPathIsThatOfCudaPath) {
  claim("If PATH leads to an nvcc, it is that of CUDA_PATH",
        "CUDA Installation Guide for Linux: Environment Setup; CMake: FindCUDAToolkit, Search "
        "Behavior");
  const Toolkit found = toolkit();
  const auto first = find_in_path("nvcc");
  if (!first) skip("there is no nvcc in PATH");
  // It may be a script, such as one that keeps results, in front of the same one.
  expect(real(*first) == real(*found.compiler()) || home_of(*first) == home_of(*found.compiler()),
         Finding(another_nvcc_first, file_subject(*first),
                 fmt::format("it works in \"{}\", CUDA_PATH's in \"{}\"", home_of(*first),
                             home_of(*found.compiler()))));
  verified(1, "compilers");
}

TEST_F(Consumers, ACMakeProjectFindsAndLinksWhatCudaPathHolds) {
  claim(
      "CMake's FindCUDAToolkit, told CUDA_PATH, finds its headers and libraries; a project links "
      "its "
      "cuBLAS and NCCL and runs with them",
      "CMake: FindCUDAToolkit; CUDA C++ Programming Guide: Compilation with NVCC");
  const Toolkit found = toolkit();
  const ScratchFolder scratch(scratch_beginning());
  build_cmake_project(found, "consumer", scratch.path(), consumer_failed);
  std::ifstream paths(scratch.path() / "found.txt");
  std::string name, file;
  while (paths >> name && std::getline(paths >> std::ws, file)) {
    const std::string own = own_file(found, name);
    expect(real(file) == own,
           Finding(another_toolkit_found, file_subject(file),
                   fmt::format("CMake found {} for {}; CUDA_PATH has {}", real(file), name, own),
                   {{"found", real(file)}, {"toolkit", own}}));
    verified(1, "files");
  }
  expect_own_libraries(found, (scratch.path() / "libraries").string());
}

TEST_F(Consumers, PkgConfigNamesWhatItTakesToLinkTheLibraries) {
  claim(
      "With the flags that pkg-config gives for the toolkit's cudart, cublas and nccl, a program "
      "is "
      "compiled and linked, and runs",
      "cuBLAS and NCCL: their .pc files; pkg-config(1)");
  const Toolkit found = toolkit();
  const auto tool = find_in_path("pkg-config");
  if (!tool) skip("there is no pkg-config in PATH");
  std::vector<std::string> folders;
  for (const std::string& library : found.library_directories()) {
    folders.push_back(library + "/pkgconfig");
  }
  for (const char* place : {"/pkgconfig", "/pkg-config", "/share/pkgconfig"}) {
    folders.push_back(found.root() + place);
  }
  const char* const set = std::getenv("PKG_CONFIG_PATH");
  const std::string search =
      fmt::format("{}:{}", fmt::join(folders, ":"), set == nullptr ? "" : set);
  const auto ask = [&](std::vector<std::string> options, const std::string& package) {
    options.insert(options.begin(), *tool);
    options.push_back(package);
    return run(options, kShort, {{"PKG_CONFIG_PATH", search}});
  };
  const auto release = found.release();
  std::vector<std::string> flags;
  for (const char* library : {"cudart", "cublas", "nccl"}) {
    std::string package = package_in(folders, library);
    const bool own = !package.empty();
    if (!own && library == std::string_view("nccl")) {
      flags.emplace_back("-lnccl");  // its packages often bring no .pc file
      continue;
    }
    if (!own) {
      // The distribution's, if it speaks of this toolkit.
      package = fmt::format("{}-{}", library, release ? release->text() : "");
      std::string folder = ask({"--variable=libdir"}, package).output;
      folder.erase(folder.find_last_not_of('\n') + 1);
      if (!lies_in(real(folder), found.root())) {
        skip(fmt::format("pkg-config knows no {} of CUDA_PATH", package));
      }
    }
    const ChildResult asked = ask({"--cflags", "--libs"}, package);
    if (!asked.succeeded()) {
      fail_and_end(Finding(
          consumer_failed, {"package", package},
          fmt::format("pkg-config {} and printed {}", asked.describe(), readable(asked.output))));
    }
    std::istringstream words(asked.output);
    for (std::string word; words >> word;) {
      flags.push_back(word);
      // The flags say where to link; where the program looks when it starts is its own affair.
      if (word.starts_with("-L"))
        flags.push_back("-Wl,--enable-new-dtags,-rpath," + word.substr(2));
    }
  }
  const ScratchFolder scratch(scratch_beginning());
  const std::string program = (scratch.path() / "libraries").string();
  const char* const compiler = std::getenv("CXX");
  std::vector<std::string> command{compiler != nullptr && compiler[0] != '\0' ? compiler : "c++",
                                   source("libraries.cpp"), "-o", program};
  command.insert(command.end(), flags.begin(), flags.end());
  command.emplace_back("-ldl");
  const ChildResult built = run(command, kCompile);
  if (!built.succeeded()) {
    fail_and_end(Finding(consumer_failed, file_subject(command.front()),
                         fmt::format("\"{}\" {} and printed {}", command_text(command),
                                     built.describe(), readable(built.output)),
                         {{"output", built.output}}));
  }
  expect_own_libraries(found, program);
}

}  // namespace
}  // namespace conformance::toolchain
