#include "suites/peer/transfers.h"

#include <algorithm>
#include <limits>

#include "fixtures/deadline.h"
#include "kernels/peer_probe.h"
#include "suites/peer/findings.h"

namespace conformance::peer {
namespace {

constexpr int kSamples = 3;

const FindingKind& wrong_data(const Way& way) {
  if (way.engine == Way::Engine::copy_engine) return copy_wrong;
  return way.maker == Way::Maker::source ? store_lost : load_wrong;
}

/// Writes what the source sends; every buffer goes on where the one before it ends.
void fill(const Transfer& transfer) {
  Station& source = *transfer.source;
  const CurrentDevice current(source.device);
  const Pattern pattern = pattern_of(transfer.pair());
  for (std::size_t copy = 0; copy < kCopies; ++copy) {
    conformance::fill(source.out[copy].data(), source.words(), pattern, source.check_stream,
                      copy * source.words());
  }
  synchronize(source.check_stream, source.device.subject());
}

void poison(Station& target) {
  const CurrentDevice current(target.device);
  for (const auto& buffer : target.in) {
    ensure(CONFORMANCE_CALL(
        cudaMemsetAsync(buffer.data(), 0xA5, buffer.bytes(), target.check_stream.get())));
  }
  synchronize(target.check_stream, target.device.subject());
}

void compare(const Transfer& transfer, std::string_view what) {
  Station& target = *transfer.target;
  const CurrentDevice current(target.device);
  const Pattern pattern = pattern_of(transfer.pair());
  for (std::size_t copy = 0; copy < kCopies; ++copy) {
    target.check.compare(target.in[copy].data(), target.words(), pattern, copy * target.words());
  }
  const kernels::PatternMismatch mismatch = target.check.result(target.device.subject());
  const std::size_t words = kCopies * target.words();
  expect(mismatch.count == 0, mismatch_finding(wrong_data(transfer.way), transfer.pair().subject(),
                                               what, mismatch, words, pattern));
  verified(words, "words, timed");
}

}  // namespace

Station::Station(const CudaDevice& gpu, std::size_t words)
    : device(gpu), ready(cudaEventDisableTiming), check(check_stream) {
  for (std::size_t copy = 0; copy < kCopies; ++copy) {
    out[copy] = DeviceBuffer<std::uint64_t>(words);
    in[copy] = DeviceBuffer<std::uint64_t>(words);
  }
}

Stations::Stations(const CudaInventory& devices, std::size_t wanted_bytes) {
  std::size_t smallest = std::numeric_limits<std::size_t>::max();
  for (const CudaDevice& device : devices) smallest = std::min(smallest, device.total_memory);
  const std::size_t words =
      scaled_bytes(kCopies * wanted_bytes, smallest) / kCopies / sizeof(std::uint64_t);
  stations_.resize(devices.size());
  for_each_device(devices, [&](const CudaDevice& device) {
    stations_[static_cast<std::size_t>(device.ordinal)] = std::make_unique<Station>(device, words);
  });
}

void Rendezvous::wait() {
  std::unique_lock lock(mutex_);
  const std::size_t own = generation_;
  if (++arrived_ >= threads_) {
    arrived_ = 0;
    ++generation_;
    changed_.notify_all();
  } else if (!changed_.wait_for(lock, deadline_of(kDeadline), [&] { return generation_ != own; })) {
    throw StatusError(deadline_status(kDeadline, "waiting for the round's other pairs"));
  }
}

void Rendezvous::leave() {
  const std::lock_guard lock(mutex_);
  --threads_;
  if (threads_ > 0 && arrived_ >= threads_) {
    arrived_ = 0;
    ++generation_;
    changed_.notify_all();
  }
}

void Rendezvous::Seat::meet(std::span<Station* const> stations) {
  for (Station* station : stations) {
    const CurrentDevice current(station->device);
    station->ready.record(station->stream);
    const std::lock_guard lock(all_.mutex_);
    all_.ready_.push_back(&station->ready);
  }
  all_.wait();
  for (Station* station : stations) {
    const CurrentDevice current(station->device);
    for (const Event* ready : all_.ready_) {
      if (ready == &station->ready) continue;
      ensure(CONFORMANCE_CALL(cudaStreamWaitEvent(station->stream.get(), ready->get(), 0)));
    }
  }
  // Nobody may record the events anew before all have queued their waits.
  all_.wait();
  const std::lock_guard lock(all_.mutex_);
  for (Station* station : stations) std::erase(all_.ready_, &station->ready);
}

void Transfer::queue(std::size_t copy) const {
  const CurrentDevice current(maker().device);
  std::uint64_t* const to = target->in[copy].data();
  const std::uint64_t* const from = source->out[copy].data();
  const cudaStream_t stream = maker().stream.get();
  if (way.engine == Way::Engine::multiprocessors) {
    ensure(CONFORMANCE_CALL(kernels::copy_over_link(to, from, source->words(), stream)));
  } else {
    ensure(CONFORMANCE_CALL(cudaMemcpyPeerAsync(to, target->device.ordinal, from,
                                                source->device.ordinal, source->out[copy].bytes(),
                                                stream)));
  }
}

std::vector<double> time_transfers(std::span<const Transfer> transfers, Rendezvous::Seat& seat,
                                   std::string_view what) {
  std::vector<Station*> makers;
  for (const Transfer& transfer : transfers) {
    makers.push_back(&transfer.maker());
    fill(transfer);
    transfer.queue(0);  // warm-up
  }
  std::vector<double> samples;
  for (int sample = 0; sample < kSamples; ++sample) {
    for (const Transfer& transfer : transfers) {
      synchronize(transfer.maker().stream, transfer.pair().subject());
      poison(*transfer.target);
    }
    seat.meet(makers);
    for (const Transfer& transfer : transfers) {
      Station& maker = transfer.maker();
      const CurrentDevice current(maker.device);
      maker.start.record(maker.stream);
      for (std::size_t copy = 0; copy < kCopies; ++copy) transfer.queue(copy);
      maker.end.record(maker.stream);
    }
    double seconds = 0;
    double bytes = 0;
    for (const Transfer& transfer : transfers) {
      const Station& maker = transfer.maker();
      synchronize(maker.stream, transfer.pair().subject());
      seconds = std::max(seconds, Event::seconds(maker.start, maker.end));
      bytes += static_cast<double>(kCopies * transfer.source->out.front().bytes());
    }
    for (const Transfer& transfer : transfers) compare(transfer, what);
    samples.push_back(bytes / seconds / 1e9);
  }
  return samples;
}

}  // namespace conformance::peer
