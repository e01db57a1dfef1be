#include "tests/simulator/cublas/queue.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulator/core/context.h"

namespace conformance::sim::cublas {
namespace {

/// Operations per clock and multiprocessor, as NVIDIA publishes them for the two compute
/// capabilities with the largest GPUs; less for the others.
double operations_per_clock(const Gpu& gpu, const Gemm& gemm) {
  const bool hopper = gpu.major == 9, ampere = gpu.major == 8 && gpu.minor == 0;
  switch (gemm.type_a) {
    case Number::fp64:
    case Number::complex_fp64:
      return hopper ? 256 : (ampere ? 128 : 4);
    case Number::fp16:
    case Number::bf16:
      return hopper ? 4096 : (ampere ? 2048 : 512);
    case Number::e4m3:
    case Number::e5m2:
    case Number::e2m1:
    case Number::int8:
      return hopper ? 8192 : (ampere ? 4096 : 1024);
    default:
      break;
  }
  if (gemm.tf32) return hopper ? 2048 : (ampere ? 1024 : 256);
  return hopper ? 256 : 128;
}

/// A scalar of any type.
constexpr std::array<std::byte, 16> kZero{};

/// What the defects of a call make of its work.
void spoil(const std::string& name, int device, cudaStream_t& stream, Work& work) {
  const auto defect = [&](const char* which) {
    return World::get().faults().at({name + ":" + which, device}).value;
  };
  work.gemm.wrong_transposes = defect("transposes").has_value();
  work.gemm.half_sums = work.gemm.half_sums || defect("sums").has_value();
  work.gemm.excess = defect("excess").value_or(0);
  if (defect("beta")) work.beta = nullptr;
  if (defect("stream")) stream = cudaStreamLegacy;
  if (defect("bias")) work.gemm.bias = nullptr;
  if (defect("activation")) work.gemm.relu = work.gemm.gelu = false;
  if (defect("factors")) {
    work.scale_a = work.scale_b = nullptr;
    work.gemm.factors_a = work.gemm.factors_b = {};
  }
  if (work.scales_on_device && defect("scalars")) {
    work.scales_on_device = false;
    work.alpha = work.beta = kZero.data();
  }
  if (const auto stride = defect("strides")) work.stride_b += static_cast<long long>(*stride);
}

/// The products that a piece of work is made of.
std::vector<Gemm> products_of(const Work& work) {
  std::vector<Gemm> products;
  for (long long i = 0; i < work.count; ++i) {
    Gemm gemm = work.gemm;
    if (work.c_each != nullptr) {
      gemm.a = work.a_each[i];
      gemm.b = work.b_each[i];
      gemm.c = work.c_each[i];
    } else {
      const auto moved = [i](const void* from, long long stride, Number type) {
        return static_cast<const char*>(from) + i * stride * static_cast<long long>(bytes_of(type));
      };
      gemm.a = moved(gemm.a, work.stride_a, gemm.type_a);
      gemm.b = moved(gemm.b, work.stride_b, gemm.type_b);
      gemm.c = const_cast<char*>(moved(gemm.c, work.stride_c, gemm.type_c));
    }
    products.push_back(gemm);
  }
  return products;
}

void read_scales(Work& work) {
  work.gemm.alpha = load(work.alpha, 0, work.scale);
  work.gemm.beta = work.beta == nullptr ? 0 : load(work.beta, 0, work.scale);
}

}  // namespace

std::optional<Number> number_of(cudaDataType_t type) {
  switch (type) {
    case CUDA_R_64F:
      return Number::fp64;
    case CUDA_R_32F:
      return Number::fp32;
    case CUDA_R_16F:
      return Number::fp16;
    case CUDA_R_16BF:
      return Number::bf16;
    case CUDA_R_8F_E4M3:
      return Number::e4m3;
    case CUDA_R_8F_E5M2:
      return Number::e5m2;
    case CUDA_R_4F_E2M1:
      return Number::e2m1;
    case CUDA_R_8I:
      return Number::int8;
    case CUDA_R_32I:
      return Number::int32;
    case CUDA_C_64F:
      return Number::complex_fp64;
    case CUDA_C_32F:
      return Number::complex_fp32;
    default:
      return std::nullopt;
  }
}

std::optional<Number> scale_of(cublasComputeType_t compute, Number result) {
  if (is_complex(result)) return result;
  switch (static_cast<int>(compute)) {
    case CUBLAS_COMPUTE_64F:
    case kEmulatedFp64:
      return Number::fp64;
    case CUBLAS_COMPUTE_32F:
    case CUBLAS_COMPUTE_32F_FAST_TF32:
    case kEmulatedFp32:
      return Number::fp32;
    case CUBLAS_COMPUTE_16F:
      return Number::fp16;
    case CUBLAS_COMPUTE_32I:
      return Number::int32;
    default:
      return std::nullopt;
  }
}

bool supported(Number a, Number b, Number c, cublasComputeType_t compute) {
  const bool same = a == b && b == c;
  switch (static_cast<int>(compute)) {
    case CUBLAS_COMPUTE_64F:
      return same && (a == Number::fp64 || a == Number::complex_fp64);
    case kEmulatedFp64:
      return same && a == Number::fp64;
    case CUBLAS_COMPUTE_32F:
      if (a == Number::e2m1) return b == Number::e2m1 && c == Number::bf16;
      if (a == Number::e4m3 || (a == Number::e5m2 && b == Number::e4m3)) {
        return (b == Number::e4m3 || b == Number::e5m2) && (c == Number::bf16 || c == Number::fp32);
      }
      return same && (a == Number::fp32 || a == Number::fp16 || a == Number::bf16 ||
                      a == Number::complex_fp32);
    case CUBLAS_COMPUTE_32F_FAST_TF32:
    case kEmulatedFp32:
      return same && a == Number::fp32;
    case CUBLAS_COMPUTE_16F:
      return same && a == Number::fp16;
    case CUBLAS_COMPUTE_32I:
      return a == Number::int8 && b == Number::int8 && c == Number::int32;
    default:
      return false;
  }
}

Transpose transpose_of(cublasOperation_t operation) {
  if (operation == CUBLAS_OP_N) return Transpose::none;
  return operation == CUBLAS_OP_T ? Transpose::plain : Transpose::conjugate;
}

cublasStatus_t queue_work(const char* name, int device, cudaStream_t handle, double seconds,
                          std::function<Output(bool)> work) {
  const Firing firing = World::get().faults().at({name, device});
  if (firing.code) return static_cast<cublasStatus_t>(*firing.code);
  const StreamPtr stream = find_stream(handle);
  if (!stream) return CUBLAS_STATUS_EXECUTION_FAILED;
  Operation operation;
  operation.call = name;
  operation.device = device;
  operation.work = [work = std::move(work), seconds](const Firing& faults) {
    std::vector<char> before;
    if (keeps_old_bytes(faults)) {
      const Output output = work(false);
      const auto* first = static_cast<const char*>(output.memory);
      before.assign(first, first + output.bytes);
    }
    const Output output = work(true);
    damage(faults, output.memory, output.bytes, output.element_bytes, before);
    return Outcome{seconds, 0, 0};
  };
  return submit(stream, std::move(operation), firing) == cudaSuccess
             ? CUBLAS_STATUS_SUCCESS
             : CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t queue(const char* name, int device_index, cudaStream_t stream, Work work) {
  const Gemm& shape = work.gemm;
  if (shape.m == 0 || shape.n == 0 || work.count == 0) return CUBLAS_STATUS_SUCCESS;
  const Gpu& gpu = World::get().device(device_index).gpu();
  const double rate = operations_per_clock(gpu, shape) * gpu.multiprocessors * gpu.clock_khz * 1e3 *
                      gpu.matmul_efficiency;
  const double operations = (is_complex(shape.type_c) ? 8.0 : 2.0) *
                            static_cast<double>(shape.m * shape.n * shape.k) *
                            static_cast<double>(work.count);
  spoil(name, device_index, stream, work);
  if (!work.scales_on_device) read_scales(work);
  return queue_work(name, device_index, stream, kLatency + operations / rate, [work](bool run_it) {
    Work now = work;
    if (now.scales_on_device) read_scales(now);
    for (const float* factor : {now.scale_a, now.scale_b}) {
      if (factor != nullptr) now.gemm.alpha *= *factor;
    }
    const std::vector<Gemm> products = products_of(now);
    // Faults strike the memory of the first product, from there on.
    Output output{products.front().c, products.front().c_bytes(), bytes_of(now.gemm.type_c)};
    if (now.c_each == nullptr) {
      output.bytes +=
          static_cast<std::size_t>((now.count - 1) * now.stride_c) * output.element_bytes;
    }
    if (run_it) {
      for (const Gemm& product : products) run(product);
    }
    return output;
  });
}

}  // namespace conformance::sim::cublas
