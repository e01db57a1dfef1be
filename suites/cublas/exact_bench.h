#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "fixtures/cuda_result.h"
#include "kernels/mismatch.h"
#include "suites/cublas/matmul.h"

namespace conformance::cublas {

struct Scale {
  int alpha, beta;
};
struct Transposes {
  cublasOperation_t a, b;
};
struct Shape {
  unsigned m, n, k;
  /// How many elements more than needed lie from one column to the next.
  unsigned pad_a = 0, pad_b = 0, pad_c = 0;
};

/// A product of random integers that no order of summation rounds, in the shape as cuBLAS allows it
/// for the precision. Different numbers have different operands.
Multiplication exact_product(const Precision& precision, const Shape& shape, Transposes transposes,
                             Scale scale, unsigned number = 0);

/// Where operands begin in the buffers of an ExactBench, in elements.
struct Place {
  std::size_t a = 0, b = 0, c = 0;
};

/// Factors of the blocks of A and B.
struct OperandFactors {
  kernels::BlockFactors a, b;
};

/// What a device needs to compute products of one type and to check every element and everything
/// around them.
class ExactBench {
 public:
  /// Columns after the last one of C that must stay as they are.
  static constexpr unsigned kGuardColumns = 2;

  /// Has room for `most_elements` in each of A, B and C.
  ExactBench(const Precision& precision, const CudaDevice& device, std::size_t most_elements);

  /// Elements that a product needs in a buffer.
  static std::size_t room_for(const Multiplication& it);

  const CublasHandle& handle() const { return handle_; }
  const Stream& stream() const { return stream_; }
  const Subject& subject() const { return subject_; }
  const Precision& precision() const { return precision_; }
  void* a(const Place& place = {}) const;
  void* b(const Place& place = {}) const;
  void* c(const Place& place = {}) const;

  /// Fills the operands, and all around them with bytes that are NaN; C too if beta is 0. With
  /// `factors`, what is stored of A and B is divided by them.
  void fill(const Multiplication& it, const Place& place = {},
            const OperandFactors* factors = nullptr);
  /// Compares the result; ends the test if anything is wrong. `how` says which call made it.
  void verify(const Multiplication& it, const Place& place = {}, std::string_view how = "");
  /// Computes a product as multiply() does, and verifies it.
  void check(const Multiplication& it);

 private:
  void prepare(const DeviceBuffer<std::byte>& buffer, std::size_t first, kernels::Element element,
               const kernels::MatrixLayout& layout, const kernels::MatrixValues* values,
               unsigned stored_columns, const kernels::BlockFactors* factors = nullptr);
  bool judge_product(const Multiplication& it, const Place& place, const std::string& text);
  bool judge_surroundings(const Multiplication& it, const std::string& text);

  const Precision& precision_;
  const Subject subject_;
  const Stream stream_;
  const CublasHandle handle_;
  const DeviceBuffer<std::byte> a_, b_, c_;
  DeviceResult<kernels::ProductCheck> product_check_;
  DeviceResult<kernels::Mismatch> guard_check_;
};

}  // namespace conformance::cublas
