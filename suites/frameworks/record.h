#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fixtures/child.h"
#include "fixtures/version.h"

namespace conformance::frameworks {

/// What the layer knows of a framework before it is looked at.
struct Framework {
  std::string_view name;           ///< "PyTorch"
  std::string_view module;         ///< "torch"
  std::string_view probe;          ///< the script that looks at it, in the folder "probe"
  std::string_view documentation;  ///< where it promises what is tested
};

/// A library that the dynamic loader was asked for.
struct OpenedLibrary {
  std::string name;   ///< or path
  std::string error;  ///< in the loader's words; empty if it was loaded
};

/// A library of CUDA in the framework's process.
struct CudaLibrary {
  std::string path;
  std::optional<LibraryVersion> version;    ///< its own: what it says, not its file's name
  std::optional<ToolkitVersion> built_for;  ///< the CUDA that cuDNN was built for
};

/// The GPU that a framework's memory lies on.
struct SeenGpu {
  std::string uuid, bus_id;
  std::string error;  ///< why it is not known
};

/// Numbers that a GPU, or a rank, computed.
struct Computed {
  std::uint64_t right = 0, wrong = 0;
  std::string first;  ///< wrong element
  std::string error;  ///< the framework's, if it computed none
};

/// What a framework's process said of itself. Members whose stage it did not come to are empty.
struct Record {
  bool installed = false;
  std::string executable;  ///< of Python
  std::string file, version;
  std::string import_error;  ///< empty if the import went well
  /// The release of CUDA that it was built for; empty if it was built for something else, `build`.
  std::string cuda_release, build;
  std::map<std::string, std::string> environment;  ///< after the import, of what is set
  std::vector<std::string> architectures;          ///< "sm_90", as the framework lists them
  std::vector<OpenedLibrary> objects;              ///< its own
  std::vector<std::string> run_paths;              ///< the folders that these name to the loader
  std::vector<OpenedLibrary> wanted;               ///< of CUDA; looked for only if it shows no GPU
  std::string gpu_error;
  std::vector<SeenGpu> gpus;
  std::vector<Computed> products, sums;
  std::vector<CudaLibrary> libraries;
  std::map<std::string, std::string> brought;  ///< by Python packages: path by file name

  std::set<std::string> said;  ///< the names of the facts that there are
  std::string doing;           ///< in what the process was when it ended; empty if it was done
  ChildResult process;

  bool has(std::string_view fact) const { return said.contains(std::string(fact)); }
};

/// Lets a fresh Python look at a framework. `size` is that of its matrices.
Record look_at(const Framework& framework, const std::string& python, int size,
               std::chrono::milliseconds deadline);
/// The libraries at `paths` with their versions, as a fresh Python finds them when nothing else is
/// on the loader's path.
std::vector<CudaLibrary> library_versions(const std::string& python,
                                          const std::vector<std::string>& paths);
/// What a probe wrote. Lines that are no facts, and facts of another type, are passed over.
Record parse_record(std::string_view output);

}  // namespace conformance::frameworks
