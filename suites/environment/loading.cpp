#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <system_error>

#include <gnu/lib-names.h>

#include <fmt/format.h>

#include "fixtures/child.h"
#include "suites/environment/environment_test.h"
#include "suites/environment/findings.h"

namespace conformance::environment {
namespace {

namespace fs = std::filesystem;

class Loading : public EnvironmentTest {
 protected:
  /// The other layers' programs that were built beside this one.
  static std::vector<std::string> suite_programs() {
    std::vector<std::string> programs;
    const fs::path suites = fs::path(own_executable()).parent_path().parent_path();
    static constexpr std::array<std::string_view, 6> kLayers{"runtime", "devices", "memory",
                                                             "peer",    "cublas",  "nccl"};
    for (const std::string_view layer : kLayers) {
      const fs::path program = suites / layer / fmt::format("conformance_{}", layer);
      std::error_code error;
      if (fs::is_regular_file(program, error)) programs.push_back(program.string());
    }
    return programs;
  }

  enum class Path { inherited, removed };
  struct LoaderTrace {
    std::vector<LoadedLibrary> libraries;
    std::string complaint;  ///< "…: version `GLIBCXX_3.4.32' not found (required by …)"

    /// The file that `name` is loaded from, with links followed; empty if there is none.
    std::string file(std::string_view name) const {
      for (const LoadedLibrary& library : libraries) {
        std::error_code error;
        if (library.name == name) return fs::canonical(library.path, error).string();
      }
      return {};
    }
  };

  /// Asks the loader what it would load for a program, which does not run.
  static LoaderTrace trace(const std::string& program, Path path = Path::inherited) {
    ChildOptions options;
    options.argv = {program};
    options.environment.emplace("LD_TRACE_LOADED_OBJECTS", "1");
    if (path == Path::removed) options.environment["LD_LIBRARY_PATH"] = std::nullopt;
    options.merge_streams = true;
    const ChildResult result = run_child(options);
    if (!result.succeeded()) {
      fail_and_end(Finding(not_found_by_loader, file_subject(program),
                           fmt::format("the loader, asked what it would load, {}: {}",
                                       result.describe(), readable(result.output))));
    }
    LoaderTrace found{parse_loader_trace(result.output), {}};
    const std::size_t version = result.output.find(": version `");
    if (version != std::string::npos) {
      const std::size_t start = result.output.rfind('\n', version) + 1;
      found.complaint = result.output.substr(start, result.output.find('\n', version) - start);
    }
    return found;
  }
};

TEST_F(Loading, TheSuitesLoadOneOfEachCudaLibrary) {
  claim(
      "A program that was linked against the toolkit loads one version of each library, from there",
      "CUDA Installation Guide for Linux: Post-installation Actions");
  const Toolkit found = toolkit();
  static constexpr std::array<std::string_view, 4> kStems{"libcudart", "libcublas", "libcublasLt",
                                                          "libnccl"};
  // By stem: the file that is loaded, with links followed. It must be the same in every program.
  std::map<std::string_view, std::string> files;
  for (const std::string& program : suite_programs()) {
    for (const LoadedLibrary& loaded : trace(program).libraries) {
      if (!expect(!loaded.path.empty(), Finding(not_found_by_loader, {"library", loaded.name},
                                                fmt::format("the loader does not find {} for {}",
                                                            loaded.name, program)))) {
        continue;
      }
      for (const std::string_view stem : kStems) {
        if (!loaded.name.starts_with(fmt::format("{}.so", stem))) continue;
        std::error_code error;
        const std::string file = fs::canonical(loaded.path, error).string();
        const auto [first, added] = files.try_emplace(stem, file);
        expect(first->second == file, Finding(libraries_mixed, {"library", std::string(stem)},
                                              fmt::format("{} loads {}, but another load is {}",
                                                          program, file, first->second),
                                              {{"one", first->second}, {"other", file}}));
        // NCCL may come from the distribution where a toolkit from anywhere is allowed.
        const bool must_be_inside = !(any_origin() && stem == "libnccl");
        std::vector<ToolkitLibrary> own = found.libraries(stem);
        const bool inside = lies_in(file, found.root()) ||
                            std::any_of(own.begin(), own.end(), [&file](const ToolkitLibrary& l) {
                              return l.real_path == file;
                            });
        if (expect(
                inside || !must_be_inside,
                Finding(loaded_from_elsewhere, {"library", std::string(stem)},
                        fmt::format("{} loads {}, which is not in {}", program, file, found.root()),
                        {{"loaded", file}, {"CUDA_PATH", found.root()}}))) {
          verified(1, "loads");
        }
      }
    }
  }
  for (const auto& [stem, file] : files) fact(fmt::format("toolkit.loaded.{}", stem), file);
}

TEST_F(Loading, TheLibraryPathKeepsTheCLibrary) {
  claim(
      "Programs load the same C library with LD_LIBRARY_PATH as without it, and a C++ library that "
      "has every version they need",
      "ld.so(8): LD_LIBRARY_PATH is searched before the system's directories");
  const std::string program = own_executable();
  const LoaderTrace with = trace(program, Path::inherited);
  const LoaderTrace without = trace(program, Path::removed);
  const std::string own = without.file(LIBC_SO);
  const std::string used = with.file(LIBC_SO);
  if (expect(own == used && !own.empty(),
             Finding(foreign_libc, {"library", LIBC_SO},
                     fmt::format("with LD_LIBRARY_PATH programs load {}, without it {}",
                                 readable(used), readable(own)),
                     {{"with", used}, {"without", own}}))) {
    verified(1, "libraries");
  }
  if (expect(with.complaint.empty(),
             Finding(foreign_libc, {"library", "libstdc++.so.6"},
                     fmt::format("the loader complains: {}", readable(with.complaint))))) {
    verified(1, "libraries");
  }
}

}  // namespace
}  // namespace conformance::environment
