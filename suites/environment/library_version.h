#pragma once

#include <span>
#include <string>
#include <string_view>

#include "fixtures/version.h"

namespace conformance::environment {

enum class CudaLibrary { cudart, cublas, cublas_lt, nccl, nvrtc };

/// Asks a library file for its version, without a driver: cudaRuntimeGetVersion, cublasGetProperty,
/// cublasLtGetProperty, ncclGetVersion, nvrtcVersion. The library is loaded in a fresh process, so
/// that a damaged one takes nobody along. `error` says why there is no version.
struct VersionAnswer {
  LibraryVersion version;
  std::string error;
};
VersionAnswer ask_library_version(CudaLibrary library, const std::string& path);

inline constexpr std::string_view kLibraryVersionTask = "library-version";
/// The child task: arguments are the library's name and its path.
int print_library_version(std::span<const std::string> arguments);

}  // namespace conformance::environment
