#include "suites/environment/library_version.h"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>

#include <fmt/format.h>

#include "fixtures/child_task.h"
#include "fixtures/library.h"

namespace conformance::environment {
namespace {

std::string_view to_string(CudaLibrary library) {
  switch (library) {
    case CudaLibrary::cudart:
      return "cudart";
    case CudaLibrary::cublas:
      return "cublas";
    case CudaLibrary::cublas_lt:
      return "cublasLt";
    case CudaLibrary::nccl:
      return "nccl";
    case CudaLibrary::nvrtc:
      return "nvrtc";
  }
  return "";
}

/// The libraries' own signatures: each answers 0 on success.
using GetVersion = int (*)(int*);
using GetProperty = int (*)(int, int*);
using GetTwoParts = int (*)(int*, int*);

std::optional<LibraryVersion> call_version(const Library& library, const char* name,
                                           std::optional<LibraryVersion> (*decode)(int)) {
  const auto function = reinterpret_cast<GetVersion>(library.symbol(name));
  int number = 0;
  if (function == nullptr || function(&number) != 0) return std::nullopt;
  return decode(number);
}

std::optional<LibraryVersion> decode_cudart(int number) {
  const auto version = ToolkitVersion::from_number(number);
  if (!version) return std::nullopt;
  return LibraryVersion{version->major, version->minor, 0};
}

std::optional<LibraryVersion> call_property(const Library& library, const char* name) {
  // libraryPropertyType of library_types.h: MAJOR_VERSION 0, MINOR_VERSION 1, PATCH_LEVEL 2.
  const auto function = reinterpret_cast<GetProperty>(library.symbol(name));
  LibraryVersion version;
  if (function == nullptr || function(0, &version.major) != 0 || function(1, &version.minor) != 0 ||
      function(2, &version.patch) != 0) {
    return std::nullopt;
  }
  return version;
}

std::optional<LibraryVersion> nvrtc_version(const Library& library) {
  const auto function = reinterpret_cast<GetTwoParts>(library.symbol("nvrtcVersion"));
  LibraryVersion version;
  if (function == nullptr || function(&version.major, &version.minor) != 0) return std::nullopt;
  return version;
}

std::optional<LibraryVersion> parse_answer(std::string_view text) {
  LibraryVersion version;
  for (int* part : {&version.major, &version.minor, &version.patch}) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *part);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.empty()) return std::nullopt;  // each part is followed by a dot or the line's end
    text.remove_prefix(1);
  }
  return version;
}

}  // namespace

VersionAnswer ask_library_version(CudaLibrary library, const std::string& path) {
  ChildOptions options = child_task(kLibraryVersionTask, {std::string(to_string(library)), path});
  // Loading half a gigabyte of cuBLAS from a cold disk takes its time.
  options.deadline = std::chrono::seconds(60);
  const ChildResult result = run_child(options);
  if (!result.succeeded()) {
    return {{}, fmt::format("a process that loads it {}: {}", result.describe(), result.error)};
  }
  const auto version = parse_answer(result.output);
  if (!version) return {{}, fmt::format("its answer is {}", result.output)};
  return {*version, ""};
}

int print_library_version(std::span<const std::string> arguments) {
  if (arguments.size() != 2) return 2;
  const Library library = Library::open(arguments[1]);
  if (!library.is_open()) {
    fmt::print(stderr, "{}\n", library.error());
    return 1;
  }
  std::optional<LibraryVersion> version;
  if (arguments[0] == "cudart") {
    version = call_version(library, "cudaRuntimeGetVersion", decode_cudart);
  } else if (arguments[0] == "cublas") {
    version = call_property(library, "cublasGetProperty");
  } else if (arguments[0] == "cublasLt") {
    version = call_property(library, "cublasLtGetProperty");
  } else if (arguments[0] == "nccl") {
    version = call_version(library, "ncclGetVersion", parse_nccl_version);
  } else if (arguments[0] == "nvrtc") {
    version = nvrtc_version(library);
  }
  if (!version) {
    fmt::print(stderr, "it does not answer with a version\n");
    return 1;
  }
  fmt::print("{}\n", version->text());
  return 0;
}

}  // namespace conformance::environment
