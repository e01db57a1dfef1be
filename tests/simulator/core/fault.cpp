#include "tests/simulator/core/fault.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/simulator/core/json_object.h"

namespace conformance::sim {
namespace {

constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();

DataFault read_data(JsonObject& object, DataFault::Kind kind) {
  DataFault data;
  data.kind = kind;
  switch (kind) {
    case DataFault::Kind::stuck_bit:
      data.bytes = 1;
      object.read("bytes", data.bytes);
      data.value = object.required<int>("value") == 0 ? 0 : 1;
      [[fallthrough]];
    case DataFault::Kind::bit_flip:
    case DataFault::Kind::change_input:
    case DataFault::Kind::write_behind:
      object.read("byte", data.offset);
      object.read("bit", data.bit);
      if (data.bit < 0 || data.bit > 7) {
        throw std::runtime_error(object.place("bit") + ": must be 0 to 7");
      }
      break;
    case DataFault::Kind::wrong_element:
    case DataFault::Kind::not_a_number: {
      std::int64_t element = 0;
      object.read("element", element);
      data.offset = static_cast<std::uint64_t>(element);
      break;
    }
    case DataFault::Kind::lose_input:
    case DataFault::Kind::drop_write:
      object.read("byte", data.offset);
      object.read("bytes", data.bytes);
      break;
  }
  return data;
}

}  // namespace

void merge(Firing& into, const Firing& from) {
  if (from.code) into.code = from.code;
  if (from.fail) into.fail = from.fail;
  if (from.value) into.value = from.value;
  if (from.text) into.text = from.text;
  into.delay_seconds += from.delay_seconds;
  into.hang = into.hang || from.hang;
  into.slow *= from.slow;
  into.data.insert(into.data.end(), from.data.begin(), from.data.end());
}

Faults::Fault Faults::read(const nlohmann::json& json, const std::string& place) {
  JsonObject object(json, place);
  Fault fault;
  fault.call = object.required<std::string>("call");
  fault.effect = object.required<std::string>("effect");
  if (object.has("occurrence")) {
    const nlohmann::json& occurrence = object.at("occurrence");
    if (occurrence == "every") {
      fault.last = kForever;
    } else if (occurrence.is_object()) {
      JsonObject range(occurrence, place + ".occurrence");
      fault.last = kForever;
      range.read("from", fault.first);
      range.read("to", fault.last);
      range.finish();
    } else {
      object.read("occurrence", fault.first);
      fault.last = fault.first;
    }
    if (fault.first < 1 || fault.last < fault.first) {
      throw std::runtime_error(place + ".occurrence: counts from 1");
    }
  } else {
    fault.last = kForever;
  }
  if (object.has("subject")) {
    JsonObject subject(object.at("subject"), place + ".subject");
    subject.read("device", fault.device);
    subject.read("rank", fault.rank);
    subject.read("error", fault.error);
    if (subject.has("pair")) {
      const auto pair = subject.required<std::vector<int>>("pair");
      if (pair.size() != 2) throw std::runtime_error(place + ".subject.pair: must be [from, to]");
      fault.device = pair[0];
      fault.peer = pair[1];
    }
    subject.finish();
  }
  Firing& firing = fault.firing;
  const std::string& effect = fault.effect;
  if (effect == "return") {
    firing.code = object.required<int>("code");
    if (object.has("message")) firing.text = object.required<std::string>("message");
  } else if (effect == "fail") {
    firing.fail = object.required<int>("code");
  } else if (effect == "value") {
    if (object.at("value").is_string()) {
      firing.text = object.required<std::string>("value");
    } else {
      firing.value = object.required<double>("value");
    }
  } else if (effect == "delay") {
    firing.delay_seconds = object.required<double>("seconds");
  } else if (effect == "hang") {
    firing.hang = true;
  } else if (effect == "kill") {
    // at() does it
  } else if (effect == "slow") {
    firing.slow = object.required<double>("factor");
    if (firing.slow <= 0) throw std::runtime_error(place + ".factor: must be positive");
  } else if (effect == "bit-flip") {
    firing.data.push_back(read_data(object, DataFault::Kind::bit_flip));
  } else if (effect == "stuck-bit") {
    firing.data.push_back(read_data(object, DataFault::Kind::stuck_bit));
  } else if (effect == "wrong-element") {
    firing.data.push_back(read_data(object, DataFault::Kind::wrong_element));
  } else if (effect == "nan") {
    firing.data.push_back(read_data(object, DataFault::Kind::not_a_number));
  } else if (effect == "drop-write") {
    firing.data.push_back(read_data(object, DataFault::Kind::drop_write));
  } else if (effect == "lose-input") {
    firing.data.push_back(read_data(object, DataFault::Kind::lose_input));
  } else if (effect == "change-input") {
    firing.data.push_back(read_data(object, DataFault::Kind::change_input));
  } else if (effect == "write-behind") {
    firing.data.push_back(read_data(object, DataFault::Kind::write_behind));
  } else {
    throw std::runtime_error(place + ".effect: unknown effect \"" + effect + "\"");
  }
  object.finish();
  return fault;
}

Faults::Faults(const nlohmann::json& faults, std::string fired) : fired_(std::move(fired)) {
  if (!faults.is_array()) throw std::runtime_error("faults: must be an array");
  for (std::size_t i = 0; i < faults.size(); ++i) {
    faults_.push_back(read(faults[i], "faults[" + std::to_string(i) + "]"));
  }
}

void Faults::record(std::size_t number, const Fault& fault, const CallSite& site) const {
  if (fired_.empty()) return;
  const std::string text = std::to_string(number) + " " + std::string(site.call) + " " +
                           fault.effect + " occurrence " + std::to_string(fault.seen) + " device " +
                           std::to_string(site.device) + " peer " + std::to_string(site.peer) +
                           " rank " + std::to_string(site.rank) + " process " +
                           std::to_string(::getpid()) + "\n";
  const int file = ::open(fired_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0 || ::write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error("cannot append to " + fired_ + ": " + std::strerror(errno));
  }
  ::close(file);
}

bool Faults::is_meant(const Fault& fault, const CallSite& site) {
  const std::string_view call = fault.call;
  if (call != site.call) {
    if (site.variant.empty() || call.size() != site.call.size() + 1 + site.variant.size() ||
        !call.starts_with(site.call) || call[site.call.size()] != ':' ||
        !call.ends_with(site.variant)) {
      return false;
    }
  }
  return (fault.device < 0 || fault.device == site.device) &&
         (fault.peer < 0 || fault.peer == site.peer) &&
         (fault.rank < 0 || fault.rank == site.rank) &&
         (fault.error < 0 || fault.error == site.error);
}

void Faults::start_afresh_with_the_suite() {
  using CurrentSuite = const char* (*)();
  static const auto current =
      reinterpret_cast<CurrentSuite>(::dlsym(RTLD_DEFAULT, "conformance_current_suite"));
  const char* suite = current == nullptr ? nullptr : current();
  if (suite == suite_) return;
  suite_ = suite;
  for (Fault& fault : faults_) fault.seen = 0;
}

Firing Faults::at(const CallSite& site) {
  Firing firing;
  if (faults_.empty()) return firing;
  const std::lock_guard lock(mutex_);
  start_afresh_with_the_suite();
  for (std::size_t i = 0; i < faults_.size(); ++i) {
    Fault& fault = faults_[i];
    if (!is_meant(fault, site)) continue;
    ++fault.seen;
    if (fault.seen < fault.first || fault.seen > fault.last) continue;
    record(i, fault, site);
    if (fault.effect == "kill") ::kill(::getpid(), SIGKILL);
    merge(firing, fault.firing);
  }
  return firing;
}

bool Faults::watches(std::string_view call) const {
  for (const Fault& fault : faults_) {
    if (fault.call == call) return true;
  }
  return false;
}

}  // namespace conformance::sim
