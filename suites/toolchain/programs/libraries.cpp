// Linked with libraries of the toolkit: prints for each its name, the version of its header, that
// of the library which was loaded, and where that lies. Needs no GPU.
#include <cstdio>

#include <dlfcn.h>

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <nccl.h>

namespace {

void print(const char* name, int header, int library, const void* function) {
  Dl_info found{};
  const bool known = dladdr(function, &found) != 0;
  std::printf("%s %d %d %s\n", name, header, library, known ? found.dli_fname : "?");
}

}  // namespace

int main() {
  int runtime = 0, nccl = 0, cublas[3] = {};
  cudaRuntimeGetVersion(&runtime);
  ncclGetVersion(&nccl);
  cublasGetProperty(MAJOR_VERSION, &cublas[0]);
  cublasGetProperty(MINOR_VERSION, &cublas[1]);
  cublasGetProperty(PATCH_LEVEL, &cublas[2]);
  const auto number = [](int major, int minor, int patch) {
    return 10000 * major + 100 * minor + patch;
  };
  print("libcudart", CUDART_VERSION, runtime,
        reinterpret_cast<const void*>(&cudaRuntimeGetVersion));
  print("libcublas", number(CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR, CUBLAS_VER_PATCH),
        number(cublas[0], cublas[1], cublas[2]), reinterpret_cast<const void*>(&cublasGetProperty));
  print("libnccl", NCCL_VERSION_CODE, nccl, reinterpret_cast<const void*>(&ncclGetVersion));
  return 0;
}
