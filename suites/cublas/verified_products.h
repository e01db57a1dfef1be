#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fixtures/clock_watch.h"
#include "fixtures/cuda_result.h"
#include "kernels/checksum.h"
#include "suites/cublas/lt_matmul.h"
#include "suites/cublas/matmul.h"

namespace conformance::cublas {

/// Square products of random data of one type, on the device that is current when it is made; every
/// result is verified. A is multiplied by two matrices in turn, so that an element which was not
/// written shows as the other product's. Of each, the first result is compared element by element
/// with the reference, and all later ones by checksums with the first, as cuBLAS promises the same
/// bits for the same call. What is wrong ends the test with a finding.
class VerifiedProducts {
 public:
  /// Computes and verifies the first two results.
  VerifiedProducts(const Precision& precision, const CudaDevice& device, unsigned side);

  /// The largest error of the first two results, in units of its bound.
  double worst() const { return worst_; }
  /// What is known of the kernel that computes them.
  std::string algorithm() const;

  /// Seconds, measured by events in the stream.
  struct Times {
    std::vector<double> products;
    std::vector<double> verifications;
  };
  /// Results that there is room for, beside the first ones.
  static constexpr unsigned kBuffers = 4;
  static constexpr unsigned kLongestSeries = 32;
  /// Queues `count` products, up to kLongestSeries, kBuffers at a time and then their verification,
  /// looks at the clocks meanwhile, and waits for all.
  Times run(unsigned count, ClockWatch& watch);
  /// The same, but each product is verified in another stream while the next ones run. Yields the
  /// seconds that a product took, verification and all.
  double run_series(unsigned count, ClockWatch& watch);

 private:
  kernels::WordMatrix words(const DeviceBuffer<std::byte>& result) const;
  std::size_t sums_each() const;
  void queue(unsigned which, const DeviceBuffer<std::byte>& target) const;
  void check_first(unsigned which);
  unsigned long long* sums_of(unsigned number) const;
  void clear_sums() const;
  void check_sums(ClockWatch& watch);
  void queue_next(unsigned buffer);
  void check_sums(std::span<const unsigned long long> sums, unsigned which) const;
  [[noreturn]] void fail_wrong(unsigned which, std::uint64_t index, double expected,
                               const std::string& found, const std::string& what,
                               Evidence evidence) const;

  const Precision& precision_;
  const Subject subject_;
  const unsigned side_;
  const std::array<Multiplication, 2> multiplications_;
  const Scalar one_, zero_;
  const Stream stream_, verification_stream_;
  const CublasHandle handle_;
  const DeviceBuffer<std::byte> a_;
  const std::array<DeviceBuffer<std::byte>, 2> b_, first_;
  const std::array<DeviceBuffer<std::byte>, kBuffers> next_;
  const DeviceBuffer<std::byte> workspace_;
  const std::unique_ptr<const LtMatmul> lt_;  ///< what computes them, or null
  const DeviceBuffer<unsigned long long> sums_;
  const PinnedBuffer<unsigned long long> sums_on_host_;
  std::array<std::vector<unsigned long long>, 2> expected_;  ///< sums of the first results
  std::vector<Event> events_;
  std::array<Event, kBuffers> written_, verified_;   ///< of each of next_
  std::array<unsigned, kBuffers> held_{1, 0, 1, 0};  ///< which product each of next_ holds
  std::vector<unsigned> queued_;                     ///< and those to be verified, in their order
  double worst_ = 0;
  std::uint64_t repeated_ = 0;  ///< products that were verified by checksums
};

}  // namespace conformance::cublas
