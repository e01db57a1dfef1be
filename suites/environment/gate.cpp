#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/elf.h"
#include "fixtures/host_facts.h"
#include "suites/environment/environment_test.h"
#include "suites/environment/findings.h"

namespace conformance::environment {
namespace {

class Gate : public EnvironmentTest {};

TEST_F(Gate, CudaPathNamesOneDirectory) {
  claim("CUDA_PATH names the directory of one CUDA toolkit",
        "CUDA Installation Guide for Linux: Post-installation Actions");
  const HostFacts host = read_host_facts(Session::current().settings().host_root);
  fact("host.os", host.os);
  fact("host.kernel", host.kernel);
  const Toolkit found = toolkit();
  fact("toolkit.cuda-path", readable(cuda_path().value));
  fact("toolkit.directory", found.root());
  verified(1, "directories");
}

TEST_F(Gate, TheToolkitHoldsItsCompiler) {
  claim("The toolkit's directory holds bin/nvcc",
        "CUDA Installation Guide for Linux: Post-installation Actions");
  const Toolkit found = toolkit();
  const std::string path = found.root() + "/bin/nvcc";
  if (expect(found.compiler().has_value(),
             Finding(compiler_missing, file_subject(path),
                     fmt::format("{} is no file that this user may execute", path)))) {
    verified(1, "programs");
  }
}

TEST_F(Gate, TheToolkitHoldsItsHeaders) {
  claim("The headers of driver API, runtime, cuBLAS and NCCL are where programs include them from",
        "CUDA Installation Guide for Linux; NCCL Installation Guide");
  const Toolkit found = toolkit();
  static constexpr std::array<std::string_view, 4> kHeaders{"cuda.h", "cuda_runtime_api.h",
                                                            "cublas_v2.h", "nccl.h"};
  for (const std::string_view name : kHeaders) {
    if (expect(found.header(name).has_value(),
               Finding(header_missing, file_subject(name), fmt::format("no readable {}", name),
                       {{"searched",
                         fmt::format("{}", fmt::join(found.include_directories(), ":"))}}))) {
      verified(1, "headers");
    }
  }
}

TEST_F(Gate, TheToolkitHoldsItsLibraries) {
  claim(
      "The shared libraries of runtime, cuBLAS and NCCL are there, one version of each, for this "
      "machine",
      "CUDA Installation Guide for Linux; NCCL Installation Guide");
  const Toolkit found = toolkit();
  static constexpr std::array<std::string_view, 4> kStems{"libcudart", "libcublas", "libcublasLt",
                                                          "libnccl"};
  for (const std::string_view stem : kStems) {
    const ToolkitLibrary file = library(found, stem);
    const ElfReading read = read_elf(file.real_path);
    const std::string seen = read.elf ? read.elf->describe() : read.error;
    if (expect(read.elf && read.elf->loadable_here(),
               Finding(library_unusable, file_subject(file.path),
                       fmt::format("{} leads to {}: {}", file.path, file.real_path, seen)))) {
      verified(1, "libraries");
    }
  }
}

}  // namespace
}  // namespace conformance::environment
