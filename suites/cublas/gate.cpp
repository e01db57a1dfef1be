#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "fixtures/cublas_handle.h"
#include "fixtures/gpu_test.h"
#include "fixtures/version.h"
#include "suites/cublas/findings.h"
#include "suites/cublas/matmul.h"

namespace conformance::cublas {
namespace {

class Gate : public GpuTest {};

LibraryVersion from_number(int number) {
  return {number / 10000, number / 100 % 100, number % 100};
}

TEST_F(Gate, TheLibraryFitsTheHeadersItWasBuiltWith) {
  claim("The cuBLAS in use has the major version of the headers, and no older minor version",
        "cuBLAS: cublasGetVersion; CUDA Compatibility: Minor Version Compatibility");
  static_assert(CUBLAS_VERSION ==
                CUBLAS_VER_MAJOR * 10000 + CUBLAS_VER_MINOR * 100 + CUBLAS_VER_PATCH);
  const LibraryVersion headers{CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR, CUBLAS_VER_PATCH};
  const CudaInventory& devices = require(Devices{1});
  for_each_gpu({devices.front()}, [&](const CudaDevice& device) {
    const Stream stream;
    const CublasHandle handle(stream);
    int number = 0;
    ensure(CONFORMANCE_CALL(cublasGetVersion(handle.get(), &number)));
    const LibraryVersion library = from_number(number);
    fact("cublas.version", library.text());
    expect(library.major == headers.major && library.minor >= headers.minor,
           Finding(
               version_mismatch, device.subject(),
               fmt::format("the library is {}, the headers are {}", library.text(), headers.text()),
               {{"library", library.text()}, {"headers", headers.text()}}));
    verified(1, "versions");
  });
}

TEST_F(Gate, ASmallProductIsRightOnEachGpu) {
  claim("cuBLAS can be set up on every GPU and multiplies two matrices",
        "cuBLAS: cublasCreate, cublasSgemm");
  for_each_gpu(require(Devices{1}), [](const CudaDevice& device) {
    // Column-major: A = (1 3; 2 4), B = (5 7; 6 8).
    constexpr std::array<float, 4> kA{1, 2, 3, 4};
    constexpr std::array<float, 4> kB{5, 6, 7, 8};
    constexpr std::array<float, 4> kProduct{23, 34, 31, 46};
    const Stream stream;
    const CublasHandle handle(stream);
    const DeviceBuffer<float> a(4);
    const DeviceBuffer<float> b(4);
    const DeviceBuffer<float> c = DeviceBuffer<float>::poisoned(4, stream.get());
    const PinnedBuffer<float> host(12);
    std::copy(kA.begin(), kA.end(), &host[0]);
    std::copy(kB.begin(), kB.end(), &host[4]);
    ensure(CONFORMANCE_CALL(
        cudaMemcpyAsync(a.data(), &host[0], a.bytes(), cudaMemcpyHostToDevice, stream.get())));
    ensure(CONFORMANCE_CALL(
        cudaMemcpyAsync(b.data(), &host[4], b.bytes(), cudaMemcpyHostToDevice, stream.get())));
    const float one = 1;
    const float zero = 0;
    ensure(CONFORMANCE_CALL(cublasSgemm(handle.get(), CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one,
                                        a.data(), 2, b.data(), 2, &zero, c.data(), 2)));
    ensure(CONFORMANCE_CALL(
        cudaMemcpyAsync(&host[8], c.data(), c.bytes(), cudaMemcpyDeviceToHost, stream.get())));
    synchronize(stream, device.subject());
    for (std::size_t i = 0; i < kProduct.size(); ++i) {
      expect(host[8 + i] == kProduct[i],
             Finding(wrong_element, device.subject(),
                     fmt::format("fp32, 2 x 2: row {}, column {} should be {}, is {}", i % 2, i / 2,
                                 kProduct[i], host[8 + i]),
                     {{"type", "fp32"},
                      {"row", std::uint64_t{i % 2}},
                      {"column", std::uint64_t{i / 2}},
                      {"expected", double{kProduct[i]}},
                      {"found", double{host[8 + i]}}}));
    }
    verified(kProduct.size(), "elements");
  });
}

}  // namespace
}  // namespace conformance::cublas
