#include "suites/nccl/rank_record.h"

#include <array>
#include <charconv>
#include <sstream>

#include <nlohmann/json.hpp>

#include "fixtures/error_findings.h"
#include "fixtures/test.h"

namespace conformance::nccl {
namespace {

using Json = nlohmann::ordered_json;

const FindingKind& kind_of(const std::string& code) {
  for (const auto& kinds : {this_layer().findings, common_finding_kinds(), error_finding_kinds()}) {
    for (const FindingKind* kind : kinds) {
      if (kind->code == code) return *kind;
    }
  }
  return finding::unexplained;
}

Value value_of(const Json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_unsigned()) return json.get<std::uint64_t>();
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_number()) return json.get<double>();
  return json.is_string() ? json.get<std::string>() : json.dump();
}

Finding finding_of(const Json& record) {
  Evidence evidence;
  for (const auto& [name, value] : record.at("evidence").items()) {
    evidence.add(name, value_of(value));
  }
  const Json& subject = record.at("subject");
  return {kind_of(record.at("code")),
          {subject.at("kind"), subject.at("name")},
          record.at("detail"),
          evidence};
}

/// The number at the end of "nccl.Rank.3".
std::size_t step_of(const std::string& test) {
  std::size_t step = 0;
  const std::size_t dot = test.rfind('.');
  std::from_chars(test.data() + dot + 1, test.data() + test.size(), step);
  return step;
}

void read_record(const Json& record, std::vector<StepRecord>& steps, StepRecord*& current) {
  const std::string type = record.at("type");
  if (type == "test-start") {
    const std::size_t step = step_of(record.at("test"));
    current = step < steps.size() ? &steps[step] : nullptr;
    if (current != nullptr) current->started = true;
  }
  if (current == nullptr) return;
  if (type == "test-end") {
    current->ended = true;
    current->seconds = record.at("seconds");
  } else if (type == "finding") {
    current->findings.push_back(finding_of(record));
  } else if (type == "verified") {
    current->verified.emplace_back(record.at("count"), record.at("what"));
  } else if (type == "fact" && record.at("name") == "rank.doing") {
    current->doing = record.at("value");
  } else if (type == "fact" && record.at("name") == "rank.number") {
    current->rank = record.at("value");
  } else if (type == "fact" && record.at("name") == "rank.of") {
    current->ranks = record.at("value");
  } else if (type == "fact" && record.at("name") == "rank.offered") {
    current->offered = record.at("value");
  }
}

}  // namespace

std::vector<StepRecord> read_rank(std::string_view journal, std::size_t steps) {
  std::vector<StepRecord> records(steps);
  StepRecord* current = nullptr;
  std::istringstream lines{std::string(journal)};
  for (std::string line; std::getline(lines, line);) {
    const Json record = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!record.is_object()) {
      if (current != nullptr) current->output += line + '\n';
      continue;
    }
    try {
      read_record(record, records, current);
    } catch (const Json::exception&) {
      // Not a record of a journal; the rank's end shows what is missing.
    }
  }
  return records;
}

void take_over(const StepRecord& record) {
  for (const auto& [count, what] : record.verified) verified(count, what);
  for (const Finding& finding : record.findings) fail(finding);
}

void take_over(StepRecord record, const Subject& device) {
  for (Finding& finding : record.findings) {
    if (finding.subject.kind == device.kind) finding.subject = device;
  }
  take_over(record);
}

}  // namespace conformance::nccl
