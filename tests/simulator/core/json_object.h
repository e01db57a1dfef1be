#pragma once

#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

namespace conformance::sim {

/// A JSON object that is read strictly: a key of the wrong type and a key that nobody read are
/// errors which name the place.
class JsonObject {
 public:
  /// Throws std::runtime_error unless `value` is an object.
  JsonObject(const nlohmann::json& value, std::string place)
      : value_(value), place_(std::move(place)) {
    if (!value_.is_object()) throw std::runtime_error(place_ + ": must be an object");
  }

  bool has(const std::string& key) const { return value_.contains(key); }
  /// The raw value of a key that exists.
  const nlohmann::json& at(const std::string& key) {
    read_.insert(key);
    if (!has(key)) throw std::runtime_error(place_ + ": \"" + key + "\" is missing");
    return value_.at(key);
  }
  /// Overwrites `target` if the key exists.
  template <typename T>
  void read(const std::string& key, T& target) {
    if (!has(key)) return;
    try {
      at(key).get_to(target);
    } catch (const nlohmann::json::exception&) {
      throw std::runtime_error(place_ + "." + key + ": wrong type: " + at(key).dump());
    }
  }
  template <typename T>
  T required(const std::string& key) {
    T target{};
    at(key);
    read(key, target);
    return target;
  }
  std::string place(const std::string& key) const { return place_ + "." + key; }
  /// Throws std::runtime_error if a key was never read.
  void finish() const {
    for (const auto& item : value_.items()) {
      if (read_.count(item.key()) == 0) {
        throw std::runtime_error(place_ + ": unknown key \"" + item.key() + "\"");
      }
    }
  }

 private:
  const nlohmann::json& value_;
  std::string place_;
  std::set<std::string> read_;
};

}  // namespace conformance::sim
