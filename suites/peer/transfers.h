#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "suites/peer/pairs.h"

namespace conformance::peer {

/// How a transfer from -> to is made: by which engine, and which of the two GPUs makes it. By the
/// source it is a write to a peer, by the target a read from a peer.
struct Way {
  enum class Engine { copy_engine, multiprocessors } engine = Engine::copy_engine;
  enum class Maker { source, target } maker = Maker::source;
};

/// Copies that follow each other in a timed sample, each between buffers of its own.
inline constexpr std::size_t kCopies = 4;

/// A GPU's part in timed transfers.
class Station {
 public:
  /// Each buffer has `words` words. The device must be current. Throws StatusError.
  Station(const CudaDevice& gpu, std::size_t words);

  const CudaDevice& device;
  Stream stream;  ///< of the transfers that this GPU makes
  Event ready, start, end;
  Stream check_stream;  ///< for what the owner does with its buffers
  PatternCheck check;
  std::array<DeviceBuffer<std::uint64_t>, kCopies> out, in;

  std::size_t words() const { return out.front().size(); }
};

/// Lets streams of several threads begin at the same time.
class Rendezvous {
 public:
  explicit Rendezvous(std::size_t threads) : threads_(threads) {}

  /// A thread's part, of which every thread must have one; it may leave early.
  class Seat {
   public:
    explicit Seat(Rendezvous& all) : all_(all) {}
    ~Seat() { all_.leave(); }
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;
    /// What is queued after this on the stations' streams begins when the streams of all threads
    /// are ready for it. Throws StatusError.
    void meet(std::span<Station* const> stations);

   private:
    Rendezvous& all_;
  };

 private:
  void wait();
  void leave();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t threads_, arrived_ = 0, generation_ = 0;
  std::vector<const Event*> ready_;
};

/// A transfer between two stations.
struct Transfer {
  Station* source;
  Station* target;
  Way way;

  OrderedPair pair() const { return {source->device, target->device}; }
  Station& maker() const { return way.maker == Way::Maker::source ? *source : *target; }
  /// Queues the copy of one buffer on the maker's stream. Throws StatusError.
  void queue(std::size_t copy) const;
};

/// GB/s of transfers that begin together, all of them added up: bytes of all / seconds until the
/// last one is done. Each sample's data is compared by its owner afterwards. Peer access must be
/// enabled as the ways need it, and the devices of `transfers` be nobody else's. `what` says how
/// the words came.
std::vector<double> time_transfers(std::span<const Transfer> transfers, Rendezvous::Seat& seat,
                                   std::string_view what);

/// The stations of all GPUs: with buffers of `wanted_bytes`, or as many as the smallest GPU allows.
class Stations {
 public:
  /// A failure is a finding and ends the test.
  Stations(const CudaInventory& devices, std::size_t wanted_bytes);

  Station& of(const CudaDevice& device) const {
    return *stations_[static_cast<std::size_t>(device.ordinal)];
  }

 private:
  std::vector<std::unique_ptr<Station>> stations_;
};

}  // namespace conformance::peer
