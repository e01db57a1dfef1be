#include "suites/cublas/exact_bench.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <fmt/format.h>

#include "kernels/compare.h"
#include "suites/cublas/findings.h"

namespace conformance::cublas {
namespace {

unsigned multiple_of(unsigned step, unsigned at_least) {
  return (at_least + step - 1) / step * step;
}

kernels::MatrixLayout layout(const Precision& precision, unsigned rows, unsigned columns,
                             unsigned pad, cublasOperation_t operation) {
  const bool transposed = operation != CUBLAS_OP_N;
  const unsigned needed = std::max(1U, transposed ? columns : rows);
  return {rows, columns, multiple_of(precision.leading_step, needed + pad), transposed,
          operation == CUBLAS_OP_C};
}

/// Of 1024 elements, how many to draw so that Σ|a·b| stays near a fifth of what the narrowest step
/// of the product can hold: alpha 2 and the spread of the sum then fit with room.
int drawn_in_1024(const Precision& precision, unsigned depth) {
  const double mean = (std::exp2(precision.integer_bits) - 1) / 2;
  const double all = std::max(1U, depth) * mean * mean;
  const double share = std::sqrt(static_cast<double>(precision.exact_limit) / 5 / all);
  return std::clamp(static_cast<int>(share * 1024), 1, 1024);
}

}  // namespace

Multiplication exact_product(const Precision& precision, const Shape& shape, Transposes transposes,
                             Scale scale, unsigned number) {
  const std::uint64_t seed = Session::current().settings().seed;
  const std::uint64_t first = std::uint64_t{number} * 100;
  const unsigned m = multiple_of(precision.dimension_step, shape.m);
  const unsigned n = multiple_of(precision.dimension_step, shape.n);
  const unsigned k = multiple_of(precision.dimension_step, shape.k);
  const int drawn = drawn_in_1024(precision, is_complex(precision) ? 2 * k : k);
  return {{m, n, k, kernels::random_matrix(seed, first, precision.integer_bits, drawn, 1),
           kernels::random_matrix(seed, first + 1, precision.integer_bits, drawn, 1),
           kernels::random_matrix(seed, first + 2, 1, 1024, 1), scale.alpha, scale.beta,
           is_complex(precision)},
          layout(precision, m, k, shape.pad_a, transposes.a),
          layout(precision, k, n, shape.pad_b, transposes.b),
          layout(precision, m, n, shape.pad_c, CUBLAS_OP_N)};
}

ExactBench::ExactBench(const Precision& precision, const CudaDevice& device,
                       std::size_t most_elements)
    : precision_(precision),
      subject_(device.subject()),
      handle_(stream_),
      a_(kernels::bytes_of(precision.element, most_elements)),
      b_(kernels::bytes_of(precision.element_b, most_elements)),
      c_(kernels::bytes_of(precision.result, most_elements)),
      product_check_(stream_),
      guard_check_(stream_) {}

std::size_t ExactBench::room_for(const Multiplication& it) {
  return std::max({kernels::elements_of(it.a), kernels::elements_of(it.b),
                   kernels::elements_of(it.c) + std::size_t{kGuardColumns} * it.c.leading});
}

void* ExactBench::a(const Place& place) const {
  return a_.data() + kernels::bytes_of(precision_.element, place.a);
}
void* ExactBench::b(const Place& place) const {
  return b_.data() + kernels::bytes_of(precision_.element_b, place.b);
}
void* ExactBench::c(const Place& place) const {
  return c_.data() + kernels::bytes_of(precision_.result, place.c);
}

void ExactBench::fill(const Multiplication& it, const Place& place, const OperandFactors* factors) {
  const kernels::Product& product = it.product;
  prepare(a_, place.a, precision_.element, it.a, &product.a,
          it.a.transposed ? product.m : product.k, factors == nullptr ? nullptr : &factors->a);
  prepare(b_, place.b, precision_.element_b, it.b, &product.b,
          it.b.transposed ? product.k : product.n, factors == nullptr ? nullptr : &factors->b);
  // With beta 0 a NaN in C must not reach the result.
  prepare(c_, place.c, precision_.result, it.c, product.beta == 0 ? nullptr : &product.c,
          product.n + kGuardColumns);
}

void ExactBench::prepare(const DeviceBuffer<std::byte>& buffer, std::size_t first,
                         kernels::Element element, const kernels::MatrixLayout& layout,
                         const kernels::MatrixValues* values, unsigned stored_columns,
                         const kernels::BlockFactors* factors) {
  const std::size_t before = kernels::bytes_of(element, first);
  const std::size_t bytes =
      kernels::bytes_of(element, std::size_t{layout.leading} * stored_columns);
  if (before + bytes > buffer.bytes()) {
    throw std::logic_error("a matrix is larger than its buffer");
  }
  if (bytes == 0) return;
  std::byte* const begin = buffer.data() + before;
  ensure(CONFORMANCE_CALL(cudaMemsetAsync(begin, kPoison, bytes, stream_.get())));
  if (values == nullptr) return;
  if (factors == nullptr) {
    ensure(CONFORMANCE_CALL(kernels::fill_matrix(begin, element, layout, *values, stream_.get())));
  } else {
    ensure(CONFORMANCE_CALL(
        kernels::fill_scaled_matrix(begin, element, layout, *values, *factors, stream_.get())));
  }
}

void ExactBench::check(const Multiplication& it) {
  fill(it);
  ensure(multiply(handle_, precision_, it, a(), b(), c()));
  verify(it);
}

void ExactBench::verify(const Multiplication& it, const Place& place, std::string_view how) {
  const kernels::Product& product = it.product;
  const std::string text =
      fmt::format("{}{}{}", how, how.empty() ? "" : ": ", describe(precision_, it));
  // Of an empty product there is only that nothing was written.
  const std::uint64_t elements = std::uint64_t{product.m} * product.n;
  if (elements > 0) {
    ensure(CONFORMANCE_CALL(kernels::check_exact_product(c(place), precision_.result, it.c.leading,
                                                         product, precision_.exact_limit,
                                                         product_check_.data(), stream_.get())));
  }
  ensure(CONFORMANCE_CALL(kernels::check_around_matrix(c(place), precision_.result, it.c,
                                                       product.n + kGuardColumns, kPoison,
                                                       guard_check_.data(), stream_.get())));
  const bool right = judge_product(it, place, text);
  // One failed product says it all; the thousandth repetition would only hide it.
  if (!judge_surroundings(it, text) || !right) throw TestEnded();
  verified(std::max(elements, std::uint64_t{1}), "elements");
}

bool ExactBench::judge_product(const Multiplication& it, const Place& place,
                               const std::string& text) {
  const kernels::ProductCheck found = product_check_.take(subject_);
  const kernels::Product& product = it.product;
  const bool good = expect(found.inexact == 0,
                           Finding(premise_broken, subject_,
                                   fmt::format("{}: {} elements could round", text, found.inexact),
                                   {{"elements", std::uint64_t{found.inexact}}}));
  if (found.wrong == 0) return good;
  const auto row = static_cast<unsigned>(found.first_wrong % product.m);
  const auto column = static_cast<unsigned>(found.first_wrong / product.m);
  const std::int64_t expected = kernels::exact_element(product, row, column);
  const RealPlace wrong = real_place(it, row, column);
  const double value = read_element(c(place), wrong.index, precision_.result, stream_, subject_);
  fail(Finding(
      wrong_element, subject_,
      fmt::format("{}: {} of {} {} are wrong; row {}, column {}{} should be {}, is {}", text,
                  found.wrong, std::uint64_t{product.m} * kernels::real_columns(product),
                  product.complex ? "parts of elements" : "elements", row, wrong.column, wrong.part,
                  expected, value),
      {{"type", std::string(precision_.name)},
       {"wrong_elements", std::uint64_t{found.wrong}},
       {"row", std::uint64_t{row}},
       {"column", std::uint64_t{wrong.column}},
       {"expected", expected},
       {"found", value},
       {"seed", Session::current().settings().seed}}));
  return false;
}

bool ExactBench::judge_surroundings(const Multiplication& it, const std::string& text) {
  const kernels::Mismatch around = guard_check_.take(subject_);
  return expect(
      around.count == 0,
      Finding(wrote_outside, subject_,
              fmt::format("{}: {} elements around C changed, the first is row {} of column {}",
                          text, around.count, around.first_index % it.c.leading,
                          around.first_index / it.c.leading),
              {{"type", std::string(precision_.name)},
               {"changed_elements", std::uint64_t{around.count}},
               {"first", std::uint64_t{around.first_index}}}));
}

}  // namespace conformance::cublas
