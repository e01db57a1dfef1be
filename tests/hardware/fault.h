#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace conformance::hardware {

enum class FaultKind {
  store_lost,            ///< a kernel's stores to a peer do not arrive in a range of words
  copy_flips_bit,        ///< a copy arrives with one bit inverted
  gemm_flips_bit,        ///< an element of a matrix product has one bit inverted
  gemms_flip_bit,        ///< so has the same one of every product, on every GPU
  gemm_slow,             ///< matrix products take longer
  all_reduce_flips_bit,  ///< an element of one rank's sum has one bit inverted
  all_reduce_drops,      ///< a chunk of one rank's contribution counts as zero
  all_reduce_left_out,   ///< one rank never joins
  all_reduce_stalls      ///< one rank's process never comes back from the call
};

/// Stands for the host where otherwise a GPU is named.
inline constexpr int kHost = -1;

/// A fault as CONFORMANCE_INJECT describes it; README.md lists which kind has which keys. GPUs are
/// CUDA ordinals.
struct Fault {
  FaultKind kind = FaultKind::store_lost;
  std::string name;
  int from = 0;                  ///< the GPU that data comes from, or kHost
  int to = 0;                    ///< the GPU that data goes to
  int device = 0;                ///< the GPU that is at fault
  int rank = 0;                  ///< the rank that is
  std::string call;              ///< the function whose work is at fault
  std::uint64_t least = 0;       ///< smaller work does not count: bytes of a copy, else elements
  std::uint64_t occurrence = 0;  ///< which of the matching operations, from 1
  std::uint64_t at = 0;          ///< which byte, word or element; taken modulo how many there are
  std::uint64_t words = 0;       ///< how many 64-bit words are lost
  std::uint64_t elements = 0;    ///< how many elements are lost
  std::uint64_t bit = 0;         ///< which bit of the byte or element, from the lowest
  std::uint64_t percent = 0;     ///< how much of the throughput is lost
};

/// Parses "<kind> <key>=<value> …", where each key of the kind stands once and in any order. Throws
/// std::invalid_argument that says what is wrong.
Fault parse_fault(std::string_view text);

/// Appends "<fault>: <place>" to the file that CONFORMANCE_INJECT_FIRED names, in one write, so
/// that lines of several threads do not mix. Ends the process if it cannot: a fault that nobody
/// knows of must not pass for the host's own.
void record_firing(std::string_view fault, std::string_view place);

/// Ends the process with a message: what was to be injected could not be.
[[noreturn]] void give_up(const std::string& message);

}  // namespace conformance::hardware
