#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ci/report/journals.h"

namespace conformance::report {

/// A JSON value that somebody else wrote, with the place where it stands. What is not as it must be
/// is thrown as CannotRun with that place.
class Checked {
 public:
  /// `value` must outlive this.
  Checked(const Json& value, std::string file) : json_(&value), file_(std::move(file)) {}

  const Json& json() const { return *json_; }
  /// The member of an object.
  Checked operator[](std::string_view key) const;
  /// The same; nothing if it is not there.
  std::optional<Checked> find(std::string_view key) const;
  /// The elements of an array.
  std::vector<Checked> items() const;
  /// A text that is not empty.
  std::string text() const;
  bool boolean() const;
  double number() const;
  /// A whole number from `least` to `most`.
  std::uint64_t whole(std::uint64_t least, std::uint64_t most) const;
  /// For objects in which a name that is not known is a mistake.
  void allow_only(std::initializer_list<std::string_view> keys) const;
  [[noreturn]] void fail(std::string_view what) const;

 private:
  Checked(const Json& value, std::string file, std::string path)
      : json_(&value), file_(std::move(file)), path_(std::move(path)) {}
  void expect(bool right, std::string_view type) const;

  const Json* json_;
  std::string file_, path_;
};

/// Reads a file of JSON whose `schema` and `schema_version` are these; throws CannotRun.
Json load_json(const std::filesystem::path& path, std::string_view schema, int version);

/// Reads a results.json of any origin, of which all that the policy and the comparison use is sure
/// to be there and of its type; throws CannotRun.
Json load_checked_results(const std::filesystem::path& path);

}  // namespace conformance::report
