#include "ci/report/checked.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "ci/report/text.h"

namespace conformance::report {

void Checked::fail(std::string_view what) const {
  throw CannotRun(printable(path_.empty() ? fmt::format("{}: {}", file_, what)
                                          : fmt::format("{}: {}: {}", file_, path_, what)));
}

void Checked::expect(bool right, std::string_view type) const {
  if (!right) fail(fmt::format("must be {}, not {}", type, json_->type_name()));
}

Checked Checked::operator[](std::string_view key) const {
  if (std::optional<Checked> member = find(key)) return *std::move(member);
  fail(fmt::format("\"{}\" is missing", key));
}

std::optional<Checked> Checked::find(std::string_view key) const {
  expect(json_->is_object(), "an object");
  const auto member = json_->find(std::string(key));
  if (member == json_->end()) return std::nullopt;
  return Checked(*member, file_, fmt::format("{}{}{}", path_, path_.empty() ? "" : ".", key));
}

std::vector<Checked> Checked::items() const {
  expect(json_->is_array(), "an array");
  std::vector<Checked> items;
  for (const Json& item : *json_) {
    items.push_back(Checked(item, file_, fmt::format("{}[{}]", path_, items.size())));
  }
  return items;
}

std::string Checked::text() const {
  expect(json_->is_string() && !json_->get_ref<const std::string&>().empty(),
         "a text that is not empty");
  return json_->get<std::string>();
}

bool Checked::boolean() const {
  expect(json_->is_boolean(), "true or false");
  return json_->get<bool>();
}

double Checked::number() const {
  expect(json_->is_number(), "a number");
  return json_->get<double>();
}

std::uint64_t Checked::whole(std::uint64_t least, std::uint64_t most) const {
  const bool right = json_->is_number_unsigned() && json_->get<std::uint64_t>() >= least &&
                     json_->get<std::uint64_t>() <= most;
  if (!right) fail(fmt::format("must be a whole number from {} to {}", least, most));
  return json_->get<std::uint64_t>();
}

void Checked::allow_only(std::initializer_list<std::string_view> keys) const {
  expect(json_->is_object(), "an object");
  for (const auto& [key, value] : json_->items()) {
    if (std::ranges::find(keys, key) == keys.end()) {
      fail(fmt::format("\"{}\" is not known here", key));
    }
  }
}

Json load_json(const std::filesystem::path& path, std::string_view schema, int version) {
  Json json;
  try {
    json = Json::parse(read_file(path));
  } catch (const Json::exception& error) {
    throw CannotRun(printable(fmt::format("{} is damaged: {}", path.native(), error.what())));
  }
  const Checked root(json, path.native());
  if (root["schema"].json() != schema) {
    root["schema"].fail(fmt::format("must be \"{}\"", schema));
  }
  if (root["schema_version"].json() != version) {
    root["schema_version"].fail(
        fmt::format("is another version than {}, which this suite reads", version));
  }
  return json;
}

namespace {

void check_figure(const Checked& figure) {
  figure["name"].text();
  if (!figure["unit"].json().is_string()) figure["unit"].fail("must be a text");
  if (!figure["value"].json().is_null()) figure["value"].number();
  figure["subject"]["kind"].text();
  figure["subject"]["name"].text();
  for (const Checked& sample : figure["samples"].items()) {
    if (!sample.json().is_null()) sample.number();
  }
}

void check_test(const Checked& test) {
  for (const char* key : {"name", "entry", "layer", "outcome"}) test[key].text();
  for (const char* key : {"skip_reason", "blocked_by"}) {
    const Checked value = test[key];
    if (!value.json().is_null() && !value.json().is_string()) value.fail("must be a text or null");
  }
  for (const Checked& figure : test["figures"].items()) check_figure(figure);
}

}  // namespace

Json load_checked_results(const std::filesystem::path& path) {
  Json results = load_json(path, "cuda-conformance/results", 1);
  const Checked root(results, path.native());
  for (const char* key : {"title", "verdict"}) root[key].text();
  root["simulated"].boolean();
  for (const char* key : {"id", "level"}) root["run"][key].text();
  for (const char* key : {"started", "ended"}) root["run"][key].number();
  for (const Checked& fact : root["facts"].items()) {
    fact["name"].text();
    if (fact["value"].json().is_structured()) fact["value"].fail("must be a scalar");
  }
  for (const Checked& entry : root["entries"].items()) {
    entry["name"].text();
    entry["selected"].boolean();
  }
  for (const Checked& test : root["tests"].items()) check_test(test);
  if (const auto nodes = root.find("nodes")) {
    for (const Checked& node : nodes->items()) {
      for (const char* key : {"name", "verdict"}) node[key].text();
      const auto run = node.find("run");
      if (!run) continue;
      for (const char* key : {"id", "level"}) (*run)[key].text();
      (*run)["started"].number();
    }
    for (const Checked& fact : root["facts"].items()) fact["entry"].text();
  }
  return results;
}

}  // namespace conformance::report
