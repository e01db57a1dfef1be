#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "suites/cublas/calls_test.h"
#include "suites/cublas/findings.h"
#include "suites/cublas/lt_matmul.h"

namespace conformance::cublas {
namespace {

/// What follows a product.
struct Epilogue {
  std::string_view name;
  cublasLtEpilogue_t id;
  bool bias, relu, gelu, aux;
};
constexpr std::array<Epilogue, 6> kEpilogues{{
    {"BIAS", CUBLASLT_EPILOGUE_BIAS, true, false, false, false},
    {"RELU", CUBLASLT_EPILOGUE_RELU, false, true, false, false},
    {"RELU_BIAS", CUBLASLT_EPILOGUE_RELU_BIAS, true, true, false, false},
    {"GELU_BIAS", CUBLASLT_EPILOGUE_GELU_BIAS, true, false, true, false},
    {"GELU_AUX", CUBLASLT_EPILOGUE_GELU_AUX, false, false, true, true},
    {"GELU_AUX_BIAS", CUBLASLT_EPILOGUE_GELU_AUX_BIAS, true, false, true, true},
}};

/// x·Φ(x), with Φ the distribution function of the normal distribution.
double gelu(double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }

/// cuBLAS does not say how it computes GELU. The usual approximation by tanh is off by less than
/// 4.8e-4; a GPU's own tanh by 2^-11 of its value; and C is rounded. README.md has the figures.
double gelu_bound(const Precision& precision, double x) {
  return 4.8e-4 + std::abs(x) * (0x1p-11 + precision.output) + precision.output_smallest;
}

/// One type's product on one GPU, with each epilogue. What it is applied to is exact: multiples of
/// 1/8 that C's type holds.
class EpilogueBench {
 public:
  EpilogueBench(const Precision& precision, const CudaDevice& device)
      : precision_(precision),
        subject_(device.subject()),
        handle_(stream_),
        size_(kernels::bytes_of(precision.element)),
        a_(kDepth * kRows * size_),
        b_(kDepth * kColumns * size_),
        bias_(kRows * size_),
        c_(kRows * kColumns * size_),
        aux_(kAuxLeading * kColumns * size_),
        workspace_(scaled_bytes(std::size_t{32} << 20, device.total_memory)) {
    const std::uint64_t seed = Session::current().settings().seed;
    it_ = {{kRows,
            kColumns,
            kDepth,
            kernels::random_matrix(seed, 50, 2, 1024, 0.5),
            kernels::random_matrix(seed, 51, 2, 1024, 0.25),
            {},
            1,
            0},
           {kRows, kDepth, kDepth, true},
           {kDepth, kColumns, kDepth, false},
           {kRows, kColumns, kRows, false}};
    biases_ = kernels::random_matrix(seed, 52, 2, 1024, 1);
    fill(a_, it_.a, it_.product.a);
    fill(b_, it_.b, it_.product.b);
    fill(bias_, {kRows, 1, kRows, false}, biases_);
  }

  void check(const Epilogue& epilogue) {
    poison(c_);
    poison(aux_);
    LtOptions options{.workspace = workspace_.data(),
                      .workspace_bytes = workspace_.bytes(),
                      .epilogue = epilogue.id};
    if (epilogue.bias) options.bias = bias_.data();
    if (epilogue.aux) {
      options.aux = aux_.data();
      options.aux_leading = kAuxLeading;
    }
    const Scalar one(scale_type(precision_), 1);
    const Scalar zero(scale_type(precision_), 0);
    ensure(LtMatmul(handle_, precision_, it_, options)
               .queue(one.data(), a_.data(), b_.data(), zero.data(), c_.data()));
    const std::vector<double> c = values(c_);
    const std::vector<double> aux = values(aux_);
    for (unsigned column = 0; column < kColumns; ++column) {
      for (unsigned row = 0; row < kRows; ++row) {
        const double x =
            product(row, column) + (epilogue.bias ? kernels::matrix_value(biases_, row, 0) : 0);
        expect_value(epilogue, "C", row, column, c[column * kRows + row],
                     epilogue.gelu ? gelu(x) : (epilogue.relu && x < 0 ? 0 : x),
                     epilogue.gelu ? gelu_bound(precision_, x) : 0);
        if (!epilogue.aux) continue;
        expect_value(epilogue, "the auxiliary matrix", row, column, aux[column * kAuxLeading + row],
                     x, 0);
      }
    }
    verified(std::uint64_t{kRows} * kColumns, "elements");
  }

 private:
  static constexpr unsigned kRows = 64, kColumns = 32, kDepth = 16, kAuxLeading = 72;

  void fill(const DeviceBuffer<std::byte>& buffer, const kernels::MatrixLayout& layout,
            const kernels::MatrixValues& values) {
    ensure(CONFORMANCE_CALL(
        kernels::fill_matrix(buffer.data(), precision_.element, layout, values, stream_.get())));
  }

  void poison(const DeviceBuffer<std::byte>& buffer) {
    ensure(
        CONFORMANCE_CALL(cudaMemsetAsync(buffer.data(), kPoison, buffer.bytes(), stream_.get())));
  }

  std::vector<double> values(const DeviceBuffer<std::byte>& buffer) {
    const PinnedBuffer<std::byte> host(buffer.size());
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(host.data(), buffer.data(), buffer.bytes(),
                                            cudaMemcpyDeviceToHost, stream_.get())));
    synchronize(stream_, subject_);
    std::vector<double> result;
    for (std::size_t at = 0; at < host.size(); at += size_) {
      result.push_back(kernels::element_value(&host[at], precision_.result));
    }
    return result;
  }

  double product(unsigned row, unsigned column) const {
    double sum = 0;
    for (unsigned l = 0; l < kDepth; ++l) {
      sum += kernels::matrix_value(it_.product.a, row, l) *
             kernels::matrix_value(it_.product.b, l, column);
    }
    return sum;
  }

  void expect_value(const Epilogue& epilogue, std::string_view where, unsigned row, unsigned column,
                    double found, double expected, double bound) {
    // Written so that a NaN is wrong.
    if (std::abs(found - expected) <= bound) return;
    fail_and_end(Finding(
        wrong_element, subject_,
        fmt::format("{} with CUBLASLT_EPILOGUE_{}: row {}, column {} of {} should be {}{}, is {}",
                    describe(precision_, it_), epilogue.name, row, column, where, expected,
                    bound > 0 ? fmt::format(" within {:.2g}", bound) : "", found),
        {{"type", std::string(precision_.name)},
         {"epilogue", std::string(epilogue.name)},
         {"row", std::uint64_t{row}},
         {"column", std::uint64_t{column}},
         {"expected", expected},
         {"found", found},
         {"seed", Session::current().settings().seed}}));
  }

  const Precision& precision_;
  const Subject subject_;
  const Stream stream_;
  const CublasHandle handle_;
  const std::size_t size_;
  const DeviceBuffer<std::byte> a_, b_, bias_, c_, aux_, workspace_;
  Multiplication it_{};
  kernels::MatrixValues biases_{};
};

TEST_F(Calls, EpiloguesOfLtProductsAreRight) {
  claim(
      "cublasLtMatmul adds a bias, applies ReLU and GELU, and keeps what GELU is applied to, as "
      "its "
      "epilogue says",
      "cuBLAS: cublasLtEpilogue_t");
  for_each_gpu(require(Devices{1}), [](const CudaDevice& device) {
    for (const Precision* precision : {&fp32, &fp16, &bf16}) {
      if (10 * device.major + device.minor < precision->compute_capability) continue;
      EpilogueBench bench(*precision, device);
      for (const Epilogue& epilogue : kEpilogues) bench.check(epilogue);
    }
  });
}

}  // namespace
}  // namespace conformance::cublas
