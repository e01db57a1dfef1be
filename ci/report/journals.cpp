#include "ci/report/journals.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace conformance::report {
namespace {

/// A journal that is damaged all over must not bury the rest of the report.
constexpr std::size_t kWarningsPerJournal = 10;

/// A record lacks a field, or has it with another type.
class BadRecord : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

const Json& field(const Json& record, const char* name) {
  const auto found = record.find(name);
  if (found == record.end()) throw BadRecord(fmt::format("without \"{}\"", name));
  return *found;
}

std::string text(const Json& record, const char* name) {
  const Json& value = field(record, name);
  if (!value.is_string()) throw BadRecord(fmt::format("\"{}\" is no text", name));
  return value.get<std::string>();
}

double number(const Json& record, const char* name) {
  const Json& value = field(record, name);
  if (!value.is_number()) throw BadRecord(fmt::format("\"{}\" is no number", name));
  return value.get<double>();
}

/// A measured number; null, which is how JSON writes a NaN, stays null.
Json measured(const Json& value) {
  if (!value.is_number() && !value.is_null()) throw BadRecord("a figure holds no number");
  return value;
}

std::int64_t integer(const Json& record, const char* name) {
  const Json& value = field(record, name);
  if (!value.is_number_integer()) throw BadRecord(fmt::format("\"{}\" is no integer", name));
  return value.get<std::int64_t>();
}

std::uint64_t count(const Json& record, const char* name) {
  const Json& value = field(record, name);
  if (!value.is_number_unsigned()) throw BadRecord(fmt::format("\"{}\" is no count", name));
  return value.get<std::uint64_t>();
}

bool yes_or_no(const Json& record, const char* name) {
  const Json& value = field(record, name);
  if (!value.is_boolean()) throw BadRecord(fmt::format("\"{}\" is neither true nor false", name));
  return value.get<bool>();
}

Json object(const Json& record, const char* name) {
  const Json& value = field(record, name);
  if (!value.is_object()) throw BadRecord(fmt::format("\"{}\" is no object", name));
  return value;
}

Json subject(const Json& record) {
  const Json value = object(record, "subject");
  return {{"kind", text(value, "kind")}, {"name", text(value, "name")}};
}

/// Evidence is scalars only, so that every report can show it.
Json evidence(const Json& record) {
  Json value = object(record, "evidence");
  for (const auto& [name, item] : value.items()) {
    if (item.is_structured()) throw BadRecord(fmt::format("evidence \"{}\" is no scalar", name));
  }
  return value;
}

/// A limit or floor: {value, <reason>}.
Json bound(const Json& record, const char* name, const char* reason) {
  const Json value = object(record, name);
  return {{"value", number(value, "value")}, {reason, text(value, reason)}};
}

Json figure(const Json& record) {
  const Json& samples = field(record, "samples");
  if (!samples.is_array()) throw BadRecord("\"samples\" is no list");
  for (const Json& sample : samples) measured(sample);
  Json result{{"name", text(record, "name")}, {"value", measured(field(record, "value"))},
              {"unit", text(record, "unit")}, {"subject", subject(record)},
              {"samples", samples},           {"formula", text(record, "formula")}};
  if (record.contains("limit")) result["limit"] = bound(record, "limit", "source");
  if (record.contains("floor")) result["floor"] = bound(record, "floor", "reason");
  return result;
}

/// Calls `use(type, record)` for each line that is a record; the rest becomes warnings.
void for_each_record(const std::string& journal, const std::string& where,
                     std::vector<std::string>& warnings,
                     const std::function<void(const std::string&, const Json&)>& use) {
  std::size_t line_number = 0;
  std::size_t bad_lines = 0;
  const auto warn = [&](std::string warning) {
    if (++bad_lines <= kWarningsPerJournal) warnings.push_back(std::move(warning));
  };
  for (std::size_t start = 0; start < journal.size();) {
    ++line_number;
    const std::size_t end = journal.find('\n', start);
    const bool whole = end != std::string::npos;
    const std::string line = journal.substr(start, whole ? end - start : std::string::npos);
    start = whole ? end + 1 : journal.size();
    if (!whole) {
      warn(fmt::format("{}, line {}: cut off", where, line_number));
      continue;
    }
    try {
      const Json record = Json::parse(line);
      if (!record.is_object()) throw BadRecord("no object");
      use(text(record, "type"), record);
    } catch (const Json::exception& error) {
      warn(fmt::format("{}, line {}: damaged: {}", where, line_number, error.what()));
    } catch (const BadRecord& error) {
      warn(fmt::format("{}, line {}: not understood: {}", where, line_number, error.what()));
    }
  }
  if (bad_lines > kWarningsPerJournal) {
    warnings.push_back(
        fmt::format("{}: {} more such lines", where, bad_lines - kWarningsPerJournal));
  }
}

TestRecord& test_of(const Json& record, const std::string& entry, EntryRecord& into) {
  const std::string name = text(record, "test");
  const auto found = std::ranges::find(into.tests, name, &TestRecord::name);
  if (found == into.tests.end()) {
    throw BadRecord(fmt::format("test \"{}\" has not started in {}", name, entry));
  }
  return *found;
}

void start_test(const Json& record, const std::string& entry, EntryRecord& into) {
  const std::string name = text(record, "test");
  if (!name.starts_with(entry + ".")) {
    throw BadRecord(fmt::format("test \"{}\" is not of {}", name, entry));
  }
  // GoogleTest's --gtest_repeat: the last run counts.
  std::erase_if(into.tests, [&](const TestRecord& test) { return test.name == name; });
  into.tests.emplace_back().name = name;
}

void end_test(const Json& record, TestRecord& test) {
  const std::string outcome = text(record, "outcome");
  if (outcome != "passed" && outcome != "failed" && outcome != "slow" && outcome != "skipped") {
    throw BadRecord(fmt::format("outcome \"{}\" is unknown", outcome));
  }
  test.skip_reason = text(record, "skip_reason");
  test.seconds = number(record, "seconds");
  test.outcome = outcome;
}

std::uint64_t saturating_sum(std::uint64_t a, std::uint64_t b) {
  return a + std::min(b, std::numeric_limits<std::uint64_t>::max() - a);
}

/// Many threads may have counted the same, each with a record of its own: the report has their sum.
void add_verified(const Json& record, TestRecord& test) {
  const std::uint64_t more = count(record, "count");
  const std::string what = text(record, "what");
  const auto known = std::ranges::find(test.verified, what, &VerifiedCount::what);
  if (known == test.verified.end()) {
    test.verified.push_back({more, what});
  } else {
    known->count = saturating_sum(known->count, more);
  }
  test.verified_count = saturating_sum(test.verified_count, more);
}

void read_suite_record(const std::string& type, const Json& record, const std::string& entry,
                       EntryRecord& into) {
  if (type == "process-end") {
    into.abandoned = text(record, "reason");
    into.process_ended = true;
  } else if (type == "fact") {
    const Json& value = field(record, "value");
    if (value.is_structured()) throw BadRecord("\"value\" is no scalar");
    into.facts.push_back({{"name", text(record, "name")}, {"value", value}});
  } else if (type == "test-start") {
    start_test(record, entry, into);
  } else if (type == "claim") {
    TestRecord& test = test_of(record, entry, into);
    test.claim = text(record, "text");
    test.source = text(record, "source");
  } else if (type == "verified") {
    add_verified(record, test_of(record, entry, into));
  } else if (type == "figure") {
    test_of(record, entry, into).figures.push_back(figure(record));
  } else if (type == "finding") {
    test_of(record, entry, into)
        .findings.push_back({text(record, "code"), text(record, "severity"), text(record, "detail"),
                             text(record, "cause"), text(record, "remedy"), subject(record),
                             evidence(record), number(record, "time")});
  } else if (type == "message") {
    test_of(record, entry, into).messages.push_back(text(record, "text"));
  } else if (type == "test-end") {
    end_test(record, test_of(record, entry, into));
  } else {
    throw BadRecord(fmt::format("type \"{}\" is unknown", type));
  }
}

}  // namespace

void read_suite_journal(const std::string& journal, const std::string& entry,
                        const std::string& run, const std::string& where, EntryRecord& record,
                        std::vector<std::string>& warnings) {
  bool foreign = false;
  for_each_record(journal, where, warnings, [&](const std::string& type, const Json& line) {
    if (type == "process-start") {
      foreign = text(line, "run") != run;
      if (foreign) throw BadRecord("it is of another run, and so are the lines after it");
      record.environment = object(line, "environment");
      record.simulated = yes_or_no(record.environment, "simulated");
      record.process_started = true;
    } else if (foreign) {
      return;
    } else if (!record.process_started) {
      throw BadRecord("it comes before the start of the process");
    } else {
      read_suite_record(type, line, entry, record);
    }
    record.last_time = std::max(record.last_time, number(line, "time"));
  });
}

void read_launch_journal(const std::string& journal, const std::string& entry,
                         const std::string& run, const std::string& where, EntryRecord& record,
                         std::vector<std::string>& warnings) {
  for_each_record(journal, where, warnings, [&](const std::string& type, const Json& line) {
    if (text(line, "run") != run) throw BadRecord("it is of another run");
    if (text(line, "entry") != entry) throw BadRecord("it is of another entry");
    if (type == "entry-start") {
      record.attempts = integer(line, "attempt");
      record.started = number(line, "time");
      record.limit_seconds = number(line, "limit_seconds");
      if (line.contains("host")) record.host = text(line, "host");
      record.launched = true;
    } else if (type == "entry-end") {
      const std::string end = text(line, "end");
      record.code = integer(line, "code");
      record.seconds = number(line, "seconds");
      record.output = text(line, "output");
      record.output_cut = yes_or_no(line, "output_cut");
      record.end = end;
      record.launched = true;
    } else if (type == "entry-collected") {
      record.collected = true;
    } else {
      throw BadRecord(fmt::format("type \"{}\" is unknown", type));
    }
    record.last_time = std::max(record.last_time, number(line, "time"));
  });
}

std::map<std::string, EntryRecord> read_journals(const Folder& folder, const std::string& run,
                                                 std::vector<std::string>& warnings) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator item(folder.journals(), error), end;
       !error && item != end; item.increment(error)) {
    names.push_back(item->path().filename().native());
  }
  if (error) {
    throw CannotRun(
        fmt::format("cannot read the folder {}: {}", folder.journals().native(), error.message()));
  }
  std::ranges::sort(names);
  std::map<std::string, EntryRecord> records;
  for (const std::string& name : names) {
    const std::string suite = entry_of_suite_journal(name);
    const std::string launched = entry_of_launch_journal(name);
    if (suite.empty() && launched.empty()) continue;
    try {
      const std::string journal = read_file(folder.journals() / name);
      if (!launched.empty()) {
        read_launch_journal(journal, launched, run, name, records[launched], warnings);
      } else {
        read_suite_journal(journal, suite, run, name, records[suite], warnings);
      }
    } catch (const CannotRun& problem) {
      warnings.emplace_back(problem.what());
    }
  }
  std::erase_if(records, [](const auto& item) {
    return !item.second.launched && !item.second.process_started;
  });
  for (const auto& [entry, record] : records) {
    if (record.attempts > 1) {
      warnings.push_back(
          fmt::format("{} was run {} times; the last one counts", entry, record.attempts));
    }
  }
  return records;
}

}  // namespace conformance::report
