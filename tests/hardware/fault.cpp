#include "tests/hardware/fault.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace conformance::hardware {
namespace {

/// Unlike any exit code of a suite.
constexpr int kExitNotInjected = 3;

struct Kind {
  std::string_view name;
  FaultKind kind;
  std::vector<std::string_view> keys;
};

const std::array<Kind, 9>& kinds() {
  static const std::array<Kind, 9> all{{
      {"store-lost", FaultKind::store_lost, {"from", "to", "occurrence", "least", "at", "words"}},
      {"copy-flips-bit",
       FaultKind::copy_flips_bit,
       {"from", "to", "occurrence", "least", "at", "bit"}},
      {"gemm-flips-bit",
       FaultKind::gemm_flips_bit,
       {"device", "call", "occurrence", "least", "at", "bit"}},
      {"gemms-flip-bit", FaultKind::gemms_flip_bit, {"call", "least", "at", "bit"}},
      {"gemm-slow", FaultKind::gemm_slow, {"device", "call", "percent"}},
      {"all-reduce-flips-bit",
       FaultKind::all_reduce_flips_bit,
       {"device", "occurrence", "least", "at", "bit"}},
      {"all-reduce-drops",
       FaultKind::all_reduce_drops,
       {"device", "occurrence", "least", "at", "elements"}},
      {"all-reduce-left-out", FaultKind::all_reduce_left_out, {"device", "occurrence", "least"}},
      {"all-reduce-stalls", FaultKind::all_reduce_stalls, {"rank", "occurrence", "least"}},
  }};
  return all;
}

[[noreturn]] void wrong(std::string_view text, const std::string& what) {
  throw std::invalid_argument("fault \"" + std::string(text) + "\": " + what);
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

/// The values of one fault's keys.
class Values {
 public:
  explicit Values(std::string_view text) : text_(text) {}

  void set(Fault& fault, std::string_view key, std::string_view value) const {
    constexpr std::uint64_t kMostDevices = 1024;
    constexpr std::uint64_t kAny = ~std::uint64_t{0};
    if (key == "from") {
      fault.from = value == "host" ? kHost : static_cast<int>(number(key, value, 0, kMostDevices));
    } else if (key == "to") {
      fault.to = static_cast<int>(number(key, value, 0, kMostDevices));
    } else if (key == "device") {
      fault.device = static_cast<int>(number(key, value, 0, kMostDevices));
    } else if (key == "rank") {
      fault.rank = static_cast<int>(number(key, value, 0, kMostDevices));
    } else if (key == "call") {
      constexpr std::array<std::string_view, 3> kCalls{"cublasSgemm", "cublasDgemm",
                                                       "cublasGemmEx"};
      if (std::find(kCalls.begin(), kCalls.end(), value) == kCalls.end()) {
        wrong(text_, "call is cublasSgemm, cublasDgemm or cublasGemmEx");
      }
      fault.call = value;
    } else if (key == "least") {
      fault.least = number(key, value, 1, kAny);
    } else if (key == "occurrence") {
      fault.occurrence = number(key, value, 1, kAny);
    } else if (key == "at") {
      fault.at = number(key, value, 0, kAny);
    } else if (key == "words") {
      fault.words = number(key, value, 1, 1 << 20);
    } else if (key == "elements") {
      fault.elements = number(key, value, 1, 1 << 20);
    } else if (key == "bit") {
      fault.bit = number(key, value, 0, fault.kind == FaultKind::copy_flips_bit ? 7 : 63);
    } else {
      fault.percent = number(key, value, 1, 90);
    }
  }

 private:
  std::uint64_t number(std::string_view key, std::string_view value, std::uint64_t least,
                       std::uint64_t most) const {
    std::uint64_t result = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
    if (error != std::errc() || end != value.data() + value.size() || result < least ||
        result > most) {
      wrong(text_, std::string(key) + " is a number from " + std::to_string(least) + " to " +
                       std::to_string(most));
    }
    return result;
  }

  std::string_view text_;
};

}  // namespace

Fault parse_fault(std::string_view text) {
  const std::vector<std::string_view> words = words_of(text);
  if (words.empty()) wrong(text, "it names no kind");
  const auto kind = std::find_if(kinds().begin(), kinds().end(),
                                 [&](const Kind& entry) { return entry.name == words.front(); });
  if (kind == kinds().end()) wrong(text, "its kind is not known");
  Fault fault;
  fault.kind = kind->kind;
  fault.name = kind->name;
  std::set<std::string_view> seen;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    if (equals == std::string_view::npos) wrong(text, "a key has no value");
    const std::string_view key = words[i].substr(0, equals);
    if (std::find(kind->keys.begin(), kind->keys.end(), key) == kind->keys.end()) {
      wrong(text, "its kind has no key \"" + std::string(key) + "\"");
    }
    if (!seen.insert(key).second) wrong(text, "\"" + std::string(key) + "\" stands twice");
    Values(text).set(fault, key, words[i].substr(equals + 1));
  }
  for (const std::string_view key : kind->keys) {
    if (!seen.contains(key)) wrong(text, "\"" + std::string(key) + "\" is missing");
  }
  return fault;
}

void record_firing(std::string_view fault, std::string_view place) {
  const char* const path = std::getenv("CONFORMANCE_INJECT_FIRED");
  if (path == nullptr) give_up("CONFORMANCE_INJECT_FIRED names no file");
  const std::string line = std::string(fault) + ": " + std::string(place) + "\n";
  const int file = ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const ssize_t written = file < 0 ? -1 : ::write(file, line.data(), line.size());
  const int error = errno;
  if (file >= 0) ::close(file);
  if (written != static_cast<ssize_t>(line.size())) {
    give_up(std::string("cannot write to ") + path + ": " + std::strerror(error));
  }
}

void give_up(const std::string& message) {
  std::fprintf(stderr, "conformance-inject: %s\n", message.c_str());
  std::_Exit(kExitNotInjected);
}

}  // namespace conformance::hardware
