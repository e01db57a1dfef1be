#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fixtures/version.h"
#include "suites/frameworks/record.h"

namespace conformance::frameworks {

/// Whether a message is the dynamic loader's about a library: that it is not there, damaged, or
/// lacks a symbol that another needs.
bool is_loader_message(std::string_view message);
/// The libraries that a message names, "libcudnn.so.9", without their directories.
std::vector<std::string> library_names(std::string_view message);

/// A library that a variable puts before the framework's own.
struct ForeignLibrary {
  std::string path;      ///< where the variable leads
  std::string own;       ///< the framework's, which it hides
  std::string variable;  ///< "LD_LIBRARY_PATH" or "LD_PRELOAD"
  std::string text() const;
};
/// The foreign library that the loader takes for `name`, "libcublas.so.12"; nothing if no variable
/// leads to another than the framework's own, or the framework has none.
std::optional<ForeignLibrary> foreign_library_for(const std::string& name, const Record& record);
/// Those among the loaded libraries.
std::vector<ForeignLibrary> foreign_libraries(const Record& record);

/// "libcublasLt" for ".../libcublasLt.so.12" and for ".../libcublasLt-0f1e2d3c.so.12".
std::string stem_of(std::string_view path);
/// The first loaded library of that stem; null if there is none.
const CudaLibrary* find_library(const Record& record, std::string_view stem);

/// Why loaded libraries do not belong together.
struct SetProblem {
  std::string text;
  std::vector<std::string> paths;  ///< of those concerned
};
/// One file of each library; of one major release of CUDA, the framework's; cuBLAS and cuDNN in one
/// piece; NCCL and cuDNN for this driver and this release.
std::vector<SetProblem> set_problems(const Record& record, std::optional<ToolkitVersion> release,
                                     std::optional<DriverCudaVersion> driver);

}  // namespace conformance::frameworks
