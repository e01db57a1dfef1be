#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace conformance::sim {

/// Where a fault may fire. Devices are GPU indices in PCI order, -1 where there is none.
struct CallSite {
  std::string_view call;  ///< the API function, or "kernel:<name>"
  int device = -1;        ///< the GPU that does it; a copy's source
  int peer = -1;          ///< the other GPU of a pair; a copy's target
  int rank = -1;          ///< of a NCCL communicator
  int error = -1;         ///< the code that the call is asked about
  /// Which kind of such a call it is; a fault may ask for "<call>:<variant>". Empty if none.
  std::string_view variant = {};
};

/// A change to what an operation wrote.
struct DataFault {
  enum class Kind {
    bit_flip,       ///< one bit of the output is inverted
    wrong_element,  ///< one element of the output gets another finite value
    not_a_number,   ///< one element of the output becomes NaN
    drop_write,     ///< a range of the output keeps what it held before
    stuck_bit,      ///< one bit of each byte of a range has one value
    // Of a collective:
    lose_input,    ///< a range of the rank's input counts as zero
    change_input,  ///< one bit of the rank's input is inverted
    write_behind   ///< one bit behind the rank's output is set
  } kind = Kind::bit_flip;
  std::uint64_t offset = 0;  ///< byte (bit_flip, drop_write) or element; -1: the last element
  std::uint64_t bytes = ~0ull;
  int bit = 0;
  int value = 0;  ///< of a stuck bit
};

/// The sum of the faults that fire at one call.
struct Firing {
  std::optional<int> code;      ///< the call returns this and does nothing else
  std::optional<int> fail;      ///< the operation fails with this when it runs, for good
  std::optional<double> value;  ///< what a query answers
  std::optional<std::string> text;
  double delay_seconds = 0;  ///< real time before the work
  bool hang = false;         ///< the work never ends
  double slow = 1;           ///< factor on the modelled duration
  std::vector<DataFault> data;
};

/// Adds the faults that fire under another name of the same call.
void merge(Firing& into, const Firing& from);

/// The faults of a scenario. Thread-safe.
class Faults {
 public:
  /// Reads the "faults" array; throws std::runtime_error that names the offending place. `fired` is
  /// a file to append one line to for each firing, or empty.
  Faults(const nlohmann::json& faults, std::string fired);

  /// What happens at this call; counts it.
  Firing at(const CallSite& site);
  /// Whether any fault names this call: lets a caller leave out preparations.
  bool watches(std::string_view call) const;

 private:
  struct Fault {
    std::string call, effect;
    std::int64_t first = 1, last = 1;  ///< occurrences that fire, from 1
    int device = -1, peer = -1, rank = -1, error = -1;
    Firing firing;
    std::int64_t seen = 0;
  };
  static Fault read(const nlohmann::json& json, const std::string& place);
  static bool is_meant(const Fault& fault, const CallSite& site);
  void record(std::size_t number, const Fault& fault, const CallSite& site) const;
  /// Occurrences count from the start of the process's test suite, so that a scenario does not
  /// depend on what ran before it in the same process.
  void start_afresh_with_the_suite();

  mutable std::mutex mutex_;
  const char* suite_ = nullptr;
  std::vector<Fault> faults_;
  std::string fired_;
};

}  // namespace conformance::sim
