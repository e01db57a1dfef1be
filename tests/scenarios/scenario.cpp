#include "tests/scenarios/scenario.h"

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <set>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace conformance::scenarios {
namespace {

using Json = nlohmann::json;

/// Outcomes that a scenario states exactly, also where it does not name them: then the set is
/// empty.
constexpr std::string_view kStated[] = {"failed",  "slow",      "blocked",
                                        "crashed", "timed-out", "error"};

/// One place in the document, for messages.
struct Place {
  const std::string& file;
  std::string path;
  [[noreturn]] void wrong(const std::string& what) const {
    throw std::runtime_error(fmt::format("{}: {}: {}", file, path.empty() ? "/" : path, what));
  }
  Place at(std::string_view key) const { return {file, fmt::format("{}/{}", path, key)}; }
};

void only_keys(const Json& object, std::initializer_list<std::string_view> allowed,
               const Place& place) {
  if (!object.is_object()) place.wrong("must be an object");
  const std::set<std::string_view> known(allowed);
  for (const auto& [key, value] : object.items()) {
    if (!known.contains(key)) {
      place.wrong(fmt::format("unknown key \"{}\"; known are {}", key, fmt::join(known, ", ")));
    }
  }
}

std::string text(const Json& value, const Place& place) {
  if (!value.is_string()) place.wrong("must be a string");
  return value.get<std::string>();
}

std::vector<std::string> texts(const Json& value, const Place& place) {
  if (!value.is_array()) place.wrong("must be an array of strings");
  std::vector<std::string> result;
  for (const Json& item : value) result.push_back(text(item, place));
  return result;
}

std::map<std::string, std::string> text_map(const Json& value, const Place& place) {
  if (!value.is_object()) place.wrong("must be an object of strings");
  std::map<std::string, std::string> result;
  for (const auto& [key, item] : value.items()) result[key] = text(item, place.at(key));
  return result;
}

FileEdits file_edits(const Json& value, const Place& place) {
  only_keys(value, {"remove", "write", "link", "copy"}, place);
  FileEdits edits;
  if (value.contains("remove")) edits.remove = texts(value["remove"], place.at("remove"));
  if (value.contains("write")) edits.write = text_map(value["write"], place.at("write"));
  if (value.contains("link")) edits.link = text_map(value["link"], place.at("link"));
  if (value.contains("copy")) edits.copy = text_map(value["copy"], place.at("copy"));
  const auto stays_inside = [&](const std::string& path) {
    if (path.starts_with("/") || path.find("..") != std::string::npos) {
      place.wrong(fmt::format("\"{}\" must stay inside the tree", path));
    }
  };
  for (const auto& path : edits.remove) stays_inside(path);
  for (const auto& [path, text] : edits.write) stays_inside(path);
  for (const auto& [path, target] : edits.link) stays_inside(path);
  for (const auto& [path, source] : edits.copy) {
    stays_inside(path);
    if (!source.starts_with("@WORK@/") && source != "@LIBC@") {
      place.at("copy").wrong(fmt::format(
          "\"{}\" must be \"@LIBC@\" or below \"@WORK@\": every machine has those", source));
    }
  }
  return edits;
}

}  // namespace

Scenario read_scenario(const std::string& file) {
  std::ifstream stream(file);
  if (!stream) throw std::runtime_error(fmt::format("{}: cannot be read", file));
  Json document;
  try {
    document = Json::parse(stream);
  } catch (const Json::parse_error& error) {
    throw std::runtime_error(fmt::format("{}: not JSON: {}", file, error.what()));
  }
  const Place root{file, ""};
  only_keys(document,
            {"scenario_version", "about", "covers", "suites", "level", "machine", "faults", "host",
             "driver", "toolkit", "environment", "arguments", "expect"},
            root);
  if (!document.contains("scenario_version") || document["scenario_version"] != 1) {
    root.wrong("scenario_version must be 1");
  }
  Scenario scenario;
  scenario.name = std::filesystem::path(file).stem().string();
  if (!document.contains("about")) root.wrong("\"about\" is missing");
  scenario.about = text(document["about"], root.at("about"));
  if (document.contains("covers")) {
    const Place place = root.at("covers");
    if (!document["covers"].is_array()) place.wrong("must be an array of numbers");
    for (const Json& fault : document["covers"]) {
      if (!fault.is_number_integer()) place.wrong("must be an array of numbers");
      scenario.covers.push_back(fault.get<int>());
    }
  }

  if (document.contains("suites")) {
    const Place place = root.at("suites");
    scenario.dummy = text(document["suites"], place) == "dummy";
    if (!scenario.dummy) place.wrong("must be \"dummy\", or be left out");
    for (const char* key : {"machine", "faults", "host", "driver", "toolkit"}) {
      if (document.contains(key)) place.wrong(fmt::format("the dummy suites have no {}", key));
    }
  }
  if (document.contains("level")) {
    scenario.level = text(document["level"], root.at("level"));
    if (scenario.level != "quick" && scenario.level != "standard") {
      root.at("level").wrong("must be \"quick\" or \"standard\"");
    }
  }

  const Json machine = document.value("machine", Json::object());
  if (!machine.is_object()) root.at("machine").wrong("must be an object");
  if (machine.contains("gpus")) {
    // The simulator says what is wrong with it, if anything is.
    const Json& gpus = machine["gpus"];
    scenario.gpus = gpus.is_number_unsigned() ? gpus.get<std::size_t>() : gpus.size();
  }
  const Json faults = document.value("faults", Json::array());
  if (!faults.is_array()) root.at("faults").wrong("must be an array");
  scenario.faults = faults.size();
  for (const Json& fault : faults) {
    scenario.hangs |= fault.is_object() && fault.value("effect", Json()) == "hang";
  }
  scenario.machine_text = Json{{"machine", machine}, {"faults", faults}}.dump(2);

  if (document.contains("host")) scenario.host = file_edits(document["host"], root.at("host"));
  if (document.contains("driver")) {
    scenario.driver = file_edits(document["driver"], root.at("driver"));
  }
  if (document.contains("toolkit")) {
    scenario.toolkit = file_edits(document["toolkit"], root.at("toolkit"));
  }
  if (document.contains("environment")) {
    const Place place = root.at("environment");
    if (!document["environment"].is_object()) place.wrong("must be an object");
    for (const auto& [name, value] : document["environment"].items()) {
      scenario.environment[name] =
          value.is_null() ? std::nullopt : std::optional(text(value, place.at(name)));
    }
  }
  if (document.contains("arguments")) {
    scenario.arguments = texts(document["arguments"], root.at("arguments"));
  }

  if (!document.contains("expect")) root.wrong("\"expect\" is missing");
  const Json& expect = document["expect"];
  const Place place = root.at("expect");
  only_keys(expect,
            {"failed", "slow", "blocked", "crashed", "timed-out", "error", "skipped",
             "first_finding", "first_subject", "first_detail", "facts"},
            place);
  for (const std::string_view outcome : kStated) scenario.expected[std::string(outcome)] = {};
  for (const auto& [key, value] : expect.items()) {
    if (key == "first_finding") {
      scenario.first_finding = value.is_null() ? "" : text(value, place.at(key));
    } else if (key == "first_subject") {
      scenario.first_subject = text(value, place.at(key));
    } else if (key == "first_detail") {
      scenario.first_detail = text(value, place.at(key));
    } else if (key == "facts") {
      if (!value.is_object()) place.at(key).wrong("must be an object");
      for (const auto& [name, fact] : value.items()) scenario.facts[name] = fact.dump();
    } else {
      scenario.expected[key] = texts(value, place.at(key));
    }
  }
  if (!expect.contains("first_finding")) place.wrong("\"first_finding\" is missing; null for none");
  return scenario;
}

}  // namespace conformance::scenarios
