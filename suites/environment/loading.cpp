#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <system_error>

#include <gnu/lib-names.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/child.h"
#include "fixtures/elf.h"
#include "fixtures/library.h"
#include "fixtures/plugins.h"
#include "suites/environment/environment_test.h"
#include "suites/environment/findings.h"
#include "suites/environment/open_library.h"

namespace conformance::environment {
namespace {

namespace fs = std::filesystem;

class Loading : public EnvironmentTest {
 protected:
  /// The other layers' programs that were built beside this one.
  static std::vector<std::string> suite_programs() {
    std::vector<std::string> programs;
    const fs::path suites = fs::path(own_executable()).parent_path().parent_path();
    static constexpr std::array<std::string_view, 7> kLayers{
        "runtime", "devices", "memory", "peer", "cublas", "nccl", "toolchain"};
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

TEST_F(Loading, TheLibraryPathHoldsNoStubOfTheDriver) {
  claim("No directory of LD_LIBRARY_PATH holds the toolkit's stubs of the driver's libraries",
        "CUDA Driver API: CUDA_ERROR_STUB_LIBRARY; ld.so(8): LD_LIBRARY_PATH");
  const char* variable = std::getenv("LD_LIBRARY_PATH");
  const std::string path = variable != nullptr ? variable : "";
  fact("environment.library-path", path.empty() ? "not set" : readable(path));
  static constexpr std::array<std::string_view, 4> kNames{"libcuda.so.1", "libcuda.so",
                                                          "libnvidia-ml.so.1", "libnvidia-ml.so"};
  for (const std::string& directory : library_path_directories(path)) {
    for (const std::string_view name : kNames) {
      const std::string file = fmt::format("{}/{}", directory, name);
      std::error_code error;
      const std::string real_path = fs::canonical(file, error).string();
      if (error) continue;
      const ElfReading read = read_elf(real_path);
      const StubEvidence stub = read.elf ? stub_evidence(*read.elf, real_path) : StubEvidence();
      if (!expect(!stub.proven(),
                  Finding(stub_on_library_path, file_subject(file),
                          fmt::format("{} leads to {}: {}", file, real_path, stub.describe()),
                          {{"LD_LIBRARY_PATH", readable(path)}}))) {
        break;  // the other names in that directory say the same
      }
    }
  }
  verified(1, "search paths");
}

TEST_F(Loading, NcclsPluginsCanBeLoaded) {
  claim("Each plugin that NCCL finds by its name or by a variable is one, and can be loaded",
        "NCCL: Environment Variables, NCCL_NET_PLUGIN, NCCL_TUNER_PLUGIN, NCCL_PROFILER_PLUGIN");
  for (const NcclPluginKind& kind : nccl_plugin_kinds()) {
    const char* value = std::getenv(std::string(kind.variable).c_str());
    const NcclPluginRequest request = nccl_plugin_request(kind, value);
    std::string loaded;
    for (const std::vector<std::string>& files : request.plugins) {
      const OpenAnswer answer = open_library(files);
      if (!answer.found && !request.by_variable) continue;
      const Subject subject{"library", files.front()};
      const Evidence evidence{{std::string(kind.variable), value != nullptr ? value : "not set"},
                              {"loader", answer.error}};
      if (!expect(
              !answer.path.empty(),
              Finding(nccl_plugin_unusable, subject,
                      fmt::format("NCCL's {} plugin: {}", kind.name, answer.error), evidence))) {
        continue;
      }
      loaded += fmt::format("{}{}", loaded.empty() ? "" : " ", answer.path);
      const ElfReading read = read_elf(answer.path);
      expect(read.elf && exports_plugin(*read.elf, kind),
             Finding(nccl_plugin_unusable, subject,
                     fmt::format("{} exports nothing that begins with {}", answer.path,
                                 fmt::join(kind.symbols, " or ")),
                     evidence));
    }
    fact(fmt::format("nccl.plugin.{}", kind.name), loaded.empty() ? std::string("none") : loaded);
    verified(1, "kinds of plugins");
  }
}

}  // namespace
}  // namespace conformance::environment
