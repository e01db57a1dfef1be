#include <chrono>
#include <filesystem>
#include <system_error>

#include <cublas_v2.h>  // which brings cublas_api.h, which before CUDA 13 does not stand alone
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nccl.h>

#include "fixtures/child.h"
#include "fixtures/compatibility.h"
#include "fixtures/version.h"
#include "suites/environment/environment_test.h"
#include "suites/environment/findings.h"
#include "suites/environment/library_version.h"

namespace conformance::environment {
namespace {

namespace fs = std::filesystem;

class Versions : public EnvironmentTest {
 protected:
  static LibraryVersion ask(CudaLibrary which, const ToolkitLibrary& file) {
    const VersionAnswer answer = ask_library_version(which, file.path);
    if (!answer.error.empty()) {
      fail_and_end(Finding(version_unreadable, file_subject(file.path),
                           fmt::format("{}: {}", file.path, answer.error)));
    }
    return answer.version;
  }

  /// A library of the toolkit must be of the version that its header defines as <prefix>_MAJOR,
  /// <prefix>_MINOR and <prefix>_PATCH; the version becomes the fact `name`.
  static void expect_of_its_header(CudaLibrary which, std::string_view stem,
                                   std::string_view header_name, std::string_view prefix,
                                   std::string_view name) {
    const Toolkit found = toolkit();
    const Header declaring = header(found, header_name);
    const auto part = [&](std::string_view which_part) {
      return declaring.number(fmt::format("{}_{}", prefix, which_part));
    };
    const LibraryVersion declared{part("MAJOR"), part("MINOR"), part("PATCH")};
    const ToolkitLibrary file = library(found, stem);
    const LibraryVersion answered = ask(which, file);
    fact(name, answered.text());
    expect_same(version_mismatch, file.path, answered.text(), declaring.path, declared.text());
  }

  /// Two parts that must have one version.
  static void expect_same(const FindingKind& kind, const std::string& one,
                          const std::string& version_of_one, const std::string& other,
                          const std::string& version_of_other) {
    if (expect(version_of_one == version_of_other,
               Finding(kind, file_subject(one),
                       fmt::format("{} is {}, but {} is {}", one, version_of_one, other,
                                   version_of_other),
                       {{one, version_of_one}, {other, version_of_other}}))) {
      verified(1, "pairs of versions");
    }
  }
};

TEST_F(Versions, TheDriverAndRuntimeHeadersAreOfOneRelease) {
  claim("cuda.h and cuda_runtime_api.h carry the same version",
        "CUDA Driver API: CUDA_VERSION; CUDA Runtime API: CUDART_VERSION");
  const Toolkit found = toolkit();
  const ToolkitVersion version = toolkit_version(found);
  fact("toolkit.version", version.text());
  const Header runtime = header(found, "cuda_runtime_api.h");
  expect_same(version_mismatch, header(found, "cuda.h").path, std::to_string(version.number()),
              runtime.path, std::to_string(runtime.number("CUDART_VERSION")));
}

TEST_F(Versions, TheCompilerIsOfTheHeadersRelease) {
  claim("nvcc is of the same release as the headers it compiles with",
        "NVIDIA CUDA Compiler Driver NVCC: --version");
  const Toolkit found = toolkit();
  const ToolkitVersion headers = toolkit_version(found);
  const auto compiler = found.compiler();
  if (!compiler) {
    fail_and_end(Finding(compiler_missing, file_subject(found.root() + "/bin/nvcc"),
                         "there is no nvcc to ask"));
  }
  ChildOptions options;
  options.argv = {*compiler, "--version"};
  options.deadline = std::chrono::seconds(30);
  const ChildResult result = run_child(options);
  const auto version = parse_nvcc_version(result.output);
  if (!result.succeeded() || !version) {
    fail_and_end(Finding(version_unreadable, file_subject(*compiler),
                         fmt::format("`{} --version` {} and printed {}", *compiler,
                                     result.describe(), readable(result.output + result.error))));
  }
  fact("toolkit.nvcc", version->text());
  InstalledVersions versions;
  versions.headers = headers;
  versions.compiler = *version;
  expect_agreement(versions, file_subject(*compiler));
}

TEST_F(Versions, TheRuntimeLibraryIsOfTheHeadersRelease) {
  claim("libcudart reports the version of the headers beside it",
        "CUDA Runtime API: cudaRuntimeGetVersion");
  const Toolkit found = toolkit();
  const ToolkitVersion headers = toolkit_version(found);
  const ToolkitLibrary file = library(found, "libcudart");
  const LibraryVersion runtime = ask(CudaLibrary::cudart, file);
  InstalledVersions versions;
  versions.headers = headers;
  versions.runtime = ToolkitVersion{runtime.major, runtime.minor};
  expect_agreement(versions, file_subject(file.path));
}

TEST_F(Versions, NvrtcIsOfTheHeadersRelease) {
  claim("libnvrtc, if the toolkit holds it, reports the release of the headers",
        "NVRTC: nvrtcVersion");
  const Toolkit found = toolkit();
  const ToolkitVersion headers = toolkit_version(found);
  if (found.libraries("libnvrtc").empty()) skip("the toolkit holds no libnvrtc");
  const ToolkitLibrary file = library(found, "libnvrtc");
  const LibraryVersion nvrtc = ask(CudaLibrary::nvrtc, file);
  fact("toolkit.nvrtc", ToolkitVersion{nvrtc.major, nvrtc.minor}.text());
  InstalledVersions versions;
  versions.headers = headers;
  versions.nvrtc = ToolkitVersion{nvrtc.major, nvrtc.minor};
  expect_agreement(versions, file_subject(file.path));
}

TEST_F(Versions, CublasIsOfItsHeadersRelease) {
  claim("libcublas reports the version of the cublas_api.h beside it", "cuBLAS: cublasGetProperty");
  expect_of_its_header(CudaLibrary::cublas, "libcublas", "cublas_api.h", "CUBLAS_VER",
                       "toolkit.cublas");
}

TEST_F(Versions, CublasLtIsOfCublassRelease) {
  claim("libcublasLt reports exactly the version that libcublas reports",
        "cuBLAS: cublasGetProperty, cublasLtGetProperty");
  const Toolkit found = toolkit();
  const ToolkitLibrary file = library(found, "libcublasLt");
  InstalledVersions versions;
  versions.cublas = ask(CudaLibrary::cublas, library(found, "libcublas"));
  versions.cublas_lt = ask(CudaLibrary::cublas_lt, file);
  fact("toolkit.cublasLt", versions.cublas_lt->text());
  expect_agreement(versions, file_subject(file.path));
}

TEST_F(Versions, NcclIsOfItsHeadersRelease) {
  claim("libnccl reports the version of the nccl.h beside it", "NCCL API: ncclGetVersion");
  expect_of_its_header(CudaLibrary::nccl, "libnccl", "nccl.h", "NCCL", "toolkit.nccl");
}

/// Whether this program lies in a build, and not where one was installed.
bool lies_in_build() {
  const fs::path home = fs::path(own_executable()).parent_path().parent_path().parent_path();
  std::error_code error;
  return fs::exists(home / "CMakeCache.txt", error);
}

TEST_F(Versions, TheSuiteWasBuiltWithThisToolkit) {
  claim(
      "A build runs with the toolkit release that it was made with, an installation with any of "
      "the same major release",
      "CUDA Compatibility: Minor Version Compatibility");
  // Whoever builds here wants what is here tested; what was built elsewhere never sees these
  // headers. A library that is too old for it is found by the layer of that library.
  const bool exactly = lies_in_build();
  const Toolkit found = toolkit();
  const Header cuda_h = header(found, "cuda.h");
  const Header runtime = header(found, "cuda_runtime_api.h");
  const Header cublas = header(found, "cublas_api.h");
  const Header nccl_h = header(found, "nccl.h");
  const std::string suite = "the suite's build";
  const auto check = [&](const Header& now, const char* define, int built_with, int major = 1) {
    const int unit = exactly ? 1 : major;
    const int number = now.number(define);
    const bool same = number / unit == built_with / unit;
    expect_same(built_for_another, now.path, fmt::format("{} {}", define, number), suite,
                fmt::format("{} {}", define, same ? number : built_with));
  };
  check(cuda_h, "CUDA_VERSION", CUDA_VERSION, 1000);
  check(runtime, "CUDART_VERSION", CUDART_VERSION, 1000);
  check(cublas, "CUBLAS_VER_MAJOR", CUBLAS_VER_MAJOR);
  if (exactly) check(cublas, "CUBLAS_VER_MINOR", CUBLAS_VER_MINOR);
  check(nccl_h, "NCCL_VERSION_CODE", NCCL_VERSION_CODE, 10000);
}

}  // namespace
}  // namespace conformance::environment
