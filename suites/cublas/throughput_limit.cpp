#include "suites/cublas/throughput_limit.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace conformance::cublas {
namespace {

/// Operations per clock and multiprocessor; 0 where no source is known.
struct Rates {
  int major, minor;
  double fp64, fp32, tf32, fp16, bf16, int8, fp8;
  std::string_view source;
};

// A multiply-add counts as two. Of a compute capability's products the fastest counts: GeForce
// models, for example, have half the rate of others where sums are of fp32.
constexpr std::array<Rates, 13> kRates{{
    {7, 0, 64, 128, 0, 1024, 0, 0, 0, "NVIDIA Tesla V100 GPU Architecture"},
    {7, 2, 0, 128, 0, 1024, 0, 2048, 0,
     "NVIDIA Technical Blog: Jetson AGX Xavier Delivers 32 TeraOps"},
    {7, 5, 4, 128, 0, 1024, 0, 2048, 0, "NVIDIA Turing GPU Architecture"},
    {8, 0, 128, 128, 1024, 2048, 2048, 4096, 0,
     "NVIDIA A100 Tensor Core GPU Architecture, table 1"},
    {8, 6, 4, 256, 512, 1024, 1024, 2048, 0,
     "NVIDIA Ampere GA102 GPU Architecture; NVIDIA A40 data sheet"},
    {8, 7, 0, 256, 0, 0, 0, 4096, 0, "NVIDIA Jetson AGX Orin Series Technical Brief"},
    {8, 9, 4, 256, 512, 1024, 1024, 2048, 2048, "NVIDIA Ada GPU Architecture, appendix"},
    {9, 0, 256, 256, 2048, 4096, 4096, 8192, 8192,
     "NVIDIA H100 Tensor Core GPU Architecture, table 2"},
    {10, 0, 128, 256, 4096, 8192, 8192, 16384, 16384,
     "CUDA C++ Best Practices Guide, Throughput of Native Arithmetic Instructions; CUTLASS, "
     "Blackwell SM100 GEMMs: twice what compute capability 9.0 does"},
    // By what NVIDIA publishes in all of one GPU, as multiples of its fp32 or of each other.
    {10, 3, 4, 256, 4096, 8192, 8192, 512, 16384,
     "NVIDIA Technical Blog: Inside NVIDIA Blackwell Ultra; CUDA Programming Guide, Compute "
     "Capabilities: FP32 to FP64 throughput is 64:1; GB300: 80 TFLOP/s of fp32 to 1250 of tf32, "
     "2500 of fp16, 165 of int8 and 5000 of fp8"},
    {11, 0, 4, 256, 0, 8192, 8192, 0, 16384,
     "Thor SoC Technical Reference Manual; CUDA Programming Guide, Compute Capabilities: FP32 to "
     "FP64 throughput is 64:1; Jetson T5000: 2070 TFLOP/s of sparse fp4 by 20 multiprocessors at "
     "1.57 GHz, of which dense fp8 is a quarter and fp16 an eighth"},
    {12, 0, 4, 256, 512, 1024, 1024, 2048, 2048,
     "NVIDIA RTX Blackwell GPU Architecture; NVIDIA RTX PRO Blackwell GPU Architecture"},
    {12, 1, 4, 256, 512, 1024, 1024, 2048, 2048,
     "CUDA C++ Best Practices Guide, Throughput of Native Arithmetic Instructions; GB10: 31 "
     "TFLOP/s of fp32 to 1000 of sparse fp4, as compute capability 12.0 has them"},
}};

double rate_of(const Rates& rates, Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::fp64:
      return rates.fp64;
    case Arithmetic::fp32:
      return rates.fp32;
    case Arithmetic::tf32:
      return rates.tf32;
    case Arithmetic::fp16:
      return rates.fp16;
    case Arithmetic::bf16:
      return rates.bf16;
    case Arithmetic::int8:
      return rates.int8;
    case Arithmetic::fp8:
      return rates.fp8;
  }
  return 0;
}

}  // namespace

std::optional<OperationRate> operation_rate(int major, int minor, Arithmetic arithmetic) {
  const auto* const found = std::find_if(kRates.begin(), kRates.end(), [&](const Rates& rates) {
    return rates.major == major && rates.minor == minor;
  });
  if (found == kRates.end() || rate_of(*found, arithmetic) == 0) return std::nullopt;
  return OperationRate{rate_of(*found, arithmetic), found->source};
}

std::optional<ReachedShare> reached_share(int major, int minor, Arithmetic arithmetic) {
  constexpr std::string_view kSource =
      "Bekman, Machine Learning Engineering: Maximum Achievable Matmul FLOPS comparison table";
  struct Row {
    int major, minor;
    double bf16, fp8;
  };
  // The lowest of the table's GPUs of the compute capability.
  constexpr std::array<Row, 3> kRows{
      {{8, 0, 0.811, 0}, {9, 0, 0.803, 0.709}, {10, 0, 0.776, 0.763}}};
  const auto* const row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& candidate) {
    return candidate.major == major && candidate.minor == minor;
  });
  if (row == kRows.end()) return std::nullopt;
  const double share = arithmetic == Arithmetic::bf16  ? row->bf16
                       : arithmetic == Arithmetic::fp8 ? row->fp8
                                                       : 0;
  if (share == 0) return std::nullopt;
  return ReachedShare{share, kSource};
}

std::optional<Limit> throughput_limit(int major, int minor, Arithmetic arithmetic,
                                      int multiprocessors, int clock_mhz) {
  const std::optional<OperationRate> rate = operation_rate(major, minor, arithmetic);
  if (!rate || multiprocessors <= 0 || clock_mhz <= 0) return std::nullopt;
  return Limit{multiprocessors * (clock_mhz * 1e6) * rate->per_clock * 1e-12,
               fmt::format("{} multiprocessors x {} MHz x {} operations per clock ({})",
                           multiprocessors, clock_mhz, rate->per_clock, rate->source)};
}

}  // namespace conformance::cublas
