#include "suites/cublas/verified_products.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <stdexcept>

#include <fmt/format.h>

#include "suites/cublas/checksums.h"
#include "suites/cublas/findings.h"

namespace conformance::cublas {
namespace {

/// After so many rows of A, and columns of B, they repeat, and so does the product: its reference
/// is a small one. A prime, so that no slip by a power of two meets the same data.
constexpr unsigned kPeriod = 1021;

/// What cuBLAS recommends for GPUs of compute capability 9.0.
constexpr std::size_t kWorkspaceBytes = 32 << 20;

/// Where no bound is known for sums of this length: integers of so few bits that they are exact.
constexpr int kExactBits = 2;
bool sums_are_exact(const Precision& precision) {
  return precision.accumulator == 0 || precision.longest != 0;
}

Multiplication square(const Precision& precision, unsigned side, unsigned which) {
  const std::uint64_t seed = Session::current().settings().seed;
  const int bits = precision.longest != 0 ? kExactBits : precision.significand_bits;
  const double unit = sums_are_exact(precision) ? 1 : std::ldexp(1.0, -bits);
  kernels::MatrixValues a = kernels::random_matrix(seed, 10, bits, 1024, unit);
  kernels::MatrixValues b = kernels::random_matrix(seed, 11 + which, bits, 1024, unit);
  a.row_period = kPeriod;
  b.column_period = kPeriod;
  const kernels::MatrixLayout layout{side, side, side, false};
  kernels::MatrixLayout layout_a = layout;
  // Only so are bytes multiplied at their full rate before compute capability 10.0.
  layout_a.transposed = kernels::bytes_of(precision.element) == 1;
  return {{side, side, side, a, b, {}, 1, 0}, layout_a, layout, layout};
}

kernels::ErrorBound bound_of(const Precision& precision, unsigned side) {
  if (!sums_are_exact(precision)) return rounding_bound(precision, side);
  return {kernels::reference_roundoff(precision.result, side), precision.output,
          precision.output_smallest};
}

DeviceBuffer<std::byte> matrix(unsigned side, kernels::Element element) {
  return DeviceBuffer<std::byte>(std::size_t{side} * side * kernels::bytes_of(element));
}

template <std::size_t... kEach>
std::array<DeviceBuffer<std::byte>, sizeof...(kEach)> matrices(unsigned side,
                                                               kernels::Element element,
                                                               std::index_sequence<kEach...>) {
  return {((void)kEach, matrix(side, element))...};
}

/// The highest priority of the current device's streams.
int highest_priority() {
  int lowest = 0;
  int highest = 0;
  ensure(CONFORMANCE_CALL(cudaDeviceGetStreamPriorityRange(&lowest, &highest)));
  return highest;
}

void make_wait(const Stream& stream, const Event& event) {
  ensure(CONFORMANCE_CALL(cudaStreamWaitEvent(stream.get(), event.get())));
}

}  // namespace

VerifiedProducts::VerifiedProducts(const Precision& precision, const CudaDevice& device,
                                   unsigned side)
    : precision_(precision),
      subject_(device.subject()),
      side_(side),
      multiplications_{square(precision, side, 0), square(precision, side, 1)},
      one_(scale_type(precision), 1),
      zero_(scale_type(precision), 0),
      // What is verified soon makes room for the next product soon.
      verification_stream_(cudaStreamNonBlocking, highest_priority()),
      handle_(stream_),
      a_(matrix(side, precision.element)),
      b_{matrix(side, precision.element_b), matrix(side, precision.element_b)},
      first_{matrix(side, precision.result), matrix(side, precision.result)},
      next_(matrices(side, precision.result, std::make_index_sequence<kBuffers>())),
      workspace_(scaled_bytes(kWorkspaceBytes, device.total_memory)),
      lt_(needs_lt(precision)
              ? std::make_unique<const LtMatmul>(handle_, precision, multiplications_[0],
                                                 LtOptions{.workspace = workspace_.data(),
                                                           .workspace_bytes = workspace_.bytes()})
              : nullptr),
      sums_(kLongestSeries * sums_each()),
      sums_on_host_(sums_.size()),
      events_(2 * kLongestSeries + 1) {
  keep_sums_in_the_accumulator(handle_);
  const auto fill = [&](const DeviceBuffer<std::byte>& target, kernels::Element element,
                        const kernels::MatrixLayout& layout, const kernels::MatrixValues& values) {
    ensure(CONFORMANCE_CALL(
        kernels::fill_matrix(target.data(), element, layout, values, stream_.get())));
  };
  const auto poison = [&](const DeviceBuffer<std::byte>& result) {
    ensure(
        CONFORMANCE_CALL(cudaMemsetAsync(result.data(), kPoison, result.bytes(), stream_.get())));
  };
  const Multiplication& own = multiplications_[0];
  fill(a_, precision.element, own.a, own.product.a);
  for (const auto& result : next_) poison(result);
  for (const unsigned which : {0U, 1U}) {
    fill(b_[which], precision.element_b, own.b, multiplications_[which].product.b);
    poison(first_[which]);
    queue(which, first_[which]);
    check_first(which);
  }
}

VerifiedProducts::Times VerifiedProducts::run(unsigned count, ClockWatch& watch) {
  if (count > kLongestSeries) throw std::logic_error("too many products at once");
  clear_sums();
  std::size_t event = 0;
  events_[event].record(stream_);
  for (unsigned begin = 0; begin < count; begin += kBuffers) {
    const unsigned size = std::min(kBuffers, count - begin);
    for (unsigned i = 0; i < size; ++i) {
      queue_next(i);
      events_[++event].record(stream_);
    }
    for (unsigned i = 0; i < size; ++i) {
      ensure(CONFORMANCE_CALL(
          kernels::add_checksums(words(next_[i]), sums_of(begin + i), stream_.get())));
      events_[++event].record(stream_);
    }
  }
  check_sums(watch);
  Times times;
  event = 0;
  for (unsigned begin = 0; begin < count; begin += kBuffers) {
    const unsigned size = std::min(kBuffers, count - begin);
    for (auto* const each : {&times.products, &times.verifications}) {
      for (unsigned i = 0; i < size; ++i, ++event) {
        each->push_back(Event::seconds(events_[event], events_[event + 1]));
      }
    }
  }
  return times;
}

double VerifiedProducts::run_series(unsigned count, ClockWatch& watch) {
  if (count > kLongestSeries) throw std::logic_error("too many products in a series");
  clear_sums();
  events_[0].record(stream_);
  for (unsigned i = 0; i < count; ++i) {
    const unsigned buffer = i % kBuffers;
    if (i >= kBuffers) make_wait(stream_, verified_[buffer]);
    queue_next(buffer);
    written_[buffer].record(stream_);
    make_wait(verification_stream_, written_[buffer]);
    ensure(CONFORMANCE_CALL(
        kernels::add_checksums(words(next_[buffer]), sums_of(i), verification_stream_.get())));
    verified_[buffer].record(verification_stream_);
  }
  make_wait(stream_, verified_[(count - 1) % kBuffers]);
  events_[1].record(stream_);
  check_sums(watch);
  return Event::seconds(events_[0], events_[1]) / count;
}

kernels::WordMatrix VerifiedProducts::words(const DeviceBuffer<std::byte>& result) const {
  return {
      result.data(),
      static_cast<unsigned>(side_ * kernels::bytes_of(precision_.result) / sizeof(std::uint64_t)),
      side_};
}

std::size_t VerifiedProducts::sums_each() const { return kernels::checksums_of(words(first_[0])); }

unsigned long long* VerifiedProducts::sums_of(unsigned number) const {
  return sums_.data() + number * sums_each();
}

void VerifiedProducts::clear_sums() const {
  ensure(CONFORMANCE_CALL(cudaMemsetAsync(sums_.data(), 0, sums_.bytes(), stream_.get())));
}

void VerifiedProducts::check_sums(ClockWatch& watch) {
  const std::vector<unsigned> queued = std::exchange(queued_, {});
  ensure(CONFORMANCE_CALL(cudaMemcpyAsync(sums_on_host_.data(), sums_.data(),
                                          queued.size() * sums_each() * sizeof(std::uint64_t),
                                          cudaMemcpyDeviceToHost, stream_.get())));
  watch.look();
  synchronize(stream_, subject_);
  for (std::size_t i = 0; i < queued.size(); ++i) {
    ++repeated_;
    check_sums(sums_on_host_.span().subspan(i * sums_each(), sums_each()), queued[i]);
    verified(std::uint64_t{side_} * side_, "elements");
  }
}

void VerifiedProducts::queue_next(unsigned buffer) {
  // Never what the buffer holds already, so that an element that is not written shows.
  unsigned& which = held_[buffer];
  which = 1 - which;
  queue(which, next_[buffer]);
  queued_.push_back(which);
}

void VerifiedProducts::queue(unsigned which, const DeviceBuffer<std::byte>& target) const {
  ensure(lt_ ? lt_->queue(one_.data(), a_.data(), b_[which].data(), zero_.data(), target.data())
             : multiply(handle_, precision_, multiplications_[which], a_.data(), b_[which].data(),
                        target.data()));
}

void VerifiedProducts::check_first(unsigned which) {
  const kernels::Product& product = multiplications_[which].product;
  const kernels::ErrorBound bound = bound_of(precision_, side_);
  DeviceResult<kernels::ProductCheck> check(stream_);
  ensure(CONFORMANCE_CALL(kernels::check_bounded_product(first_[which].data(), precision_.result,
                                                         side_, product, bound, check.data(),
                                                         stream_.get())));
  clear_sums();
  ensure(
      CONFORMANCE_CALL(kernels::add_checksums(words(first_[which]), sums_.data(), stream_.get())));
  ensure(CONFORMANCE_CALL(cudaMemcpyAsync(sums_on_host_.data(), sums_.data(),
                                          sums_each() * sizeof(std::uint64_t),
                                          cudaMemcpyDeviceToHost, stream_.get())));
  const kernels::ProductCheck found = check.take(subject_);
  if (found.wrong > 0) {
    const kernels::BoundedElement expected =
        kernels::bounded_element(product, bound, static_cast<unsigned>(found.first_wrong % side_),
                                 static_cast<unsigned>(found.first_wrong / side_));
    const double value =
        read_element(first_[which].data(), found.first_wrong, precision_.result, stream_, subject_);
    fail_wrong(which, found.first_wrong, expected.value, fmt::format("{:.9g}", value),
               fmt::format("{} of {} elements are off by more than their bound, which is {:.3g} "
                           "for the first",
                           found.wrong, std::uint64_t{side_} * side_, expected.bound),
               {{"wrong_elements", std::uint64_t{found.wrong}},
                {"bound", expected.bound},
                {"found", value}});
  }
  worst_ = std::max(worst_, found.worst);
  const auto sums = sums_on_host_.span().first(sums_each());
  expected_[which].assign(sums.begin(), sums.end());
  verified(std::uint64_t{side_} * side_, "elements");
}

void VerifiedProducts::check_sums(std::span<const unsigned long long> sums, unsigned which) const {
  const unsigned words_each = words(first_[which]).words;
  const ChecksumDifference difference = compare_checksums(sums, expected_[which], words_each);
  if (!difference.any()) return;
  const unsigned per_word = sizeof(std::uint64_t) / kernels::bytes_of(precision_.result);
  const std::uint64_t word = std::uint64_t{difference.column} * words_each + difference.row;
  // What was found is no longer in memory, but follows from the sums if one word alone is wrong.
  const PinnedBuffer<std::uint64_t> right(1);
  ensure(CONFORMANCE_CALL(
      cudaMemcpyAsync(right.data(), first_[which].data() + word * sizeof(std::uint64_t),
                      sizeof(std::uint64_t), cudaMemcpyDeviceToHost, stream_.get())));
  synchronize(stream_, subject_);
  std::uint64_t wrong = right[0];
  if (difference.change) {
    wrong = changed_word(wrong, *difference.change, words_each, difference.row, difference.column);
  }
  const auto* const right_bytes = reinterpret_cast<const std::byte*>(right.data());
  const auto* const wrong_bytes = reinterpret_cast<const std::byte*>(&wrong);
  const std::size_t first_byte = static_cast<std::size_t>(
      std::mismatch(right_bytes, right_bytes + sizeof(wrong), wrong_bytes).first - right_bytes);
  const std::size_t element =
      difference.change ? first_byte / kernels::bytes_of(precision_.result) : 0;
  const auto value = [&](const std::byte* bytes) {
    return kernels::element_value(bytes + element * kernels::bytes_of(precision_.result),
                                  precision_.result);
  };
  Evidence evidence{{"repetition", repeated_},
                    {"wrong_row_sums", std::uint64_t{difference.rows}},
                    {"wrong_column_sums", std::uint64_t{difference.columns}}};
  if (difference.change) evidence.add("found", value(wrong_bytes));
  fail_wrong(which, word * per_word + element, value(right_bytes),
             difference.change ? fmt::format("{:.17g}", value(wrong_bytes))
                               : "not that, as others are not",
             fmt::format("repetition {} differs from the first result, which was right, in the "
                         "checksums of {} columns and {} rows of words",
                         repeated_, difference.columns, difference.rows),
             std::move(evidence));
}

void VerifiedProducts::fail_wrong(unsigned which, std::uint64_t index, double expected,
                                  const std::string& found, const std::string& what,
                                  Evidence evidence) const {
  const std::uint64_t row = index % side_;
  const std::uint64_t column = index / side_;
  evidence.add("type", std::string(precision_.name))
      .add("row", row)
      .add("column", column)
      .add("expected", expected)
      .add("seed", Session::current().settings().seed);
  fail_and_end(Finding(wrong_element, subject_,
                       fmt::format("{}: {}; row {}, column {} should be {:.17g}, is {}",
                                   describe(precision_, multiplications_[which]), what, row, column,
                                   expected, found),
                       std::move(evidence)));
}

std::string VerifiedProducts::algorithm() const {
  if (lt_) return lt_->algorithm();
  try {
    // cuBLAS does not tell. It chooses by the same heuristic.
    return "as cublasLtMatmul would: " +
           LtMatmul(handle_, precision_, multiplications_[0],
                    {.workspace = workspace_.data(), .workspace_bytes = workspace_.bytes()})
               .algorithm();
  } catch (const StatusError& error) {
    return "not known: " + error.status().name();
  }
}

}  // namespace conformance::cublas
