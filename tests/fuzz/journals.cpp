#include "ci/report/journals.h"

#include <string>

#include <nlohmann/json.hpp>

#include "ci/report/html.h"
#include "ci/report/junit.h"
#include "ci/report/policy.h"
#include "ci/report/results.h"
#include "ci/report/table.h"
#include "ci/report/text.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/target.h"

namespace conformance::fuzz {

void read_journals(Input input) {
  // The journals of a suite and of its launcher, with a form feed between them.
  const std::string_view both = as_text(input);
  const std::size_t end = both.find('\f');
  const std::string suite(both.substr(0, end));
  const std::string launcher(end == std::string_view::npos ? "" : both.substr(end + 1));

  const std::string entry = "memory.Gate", run = "run-1";
  report::Records records;
  records.run.id = run;
  records.run.level = "standard";
  records.run.selection = {{entry, "memory", "quick"}};
  records.manifests = {{"memory", {}, {{entry, "quick", true, {entry + ".A", entry + ".B"}}}}};
  records.now = 1e9;
  report::EntryRecord& record = records.entries[entry];
  report::read_suite_journal(suite, entry, run, "suite", record, records.warnings);
  report::read_launch_journal(launcher, entry, run, "launcher", record, records.warnings);
  for (const report::TestRecord& test : record.tests) {
    promise(test.name.starts_with(entry + "."), "a journal speaks of its entry's tests");
  }

  const report::Json results = report::judge(records);
  const std::string text = results.dump(2, ' ', false, report::Json::error_handler_t::replace);
  promise(report::Json::parse(text).is_object(), "the results are a document");
  // What is left out or not understood is no success.
  if (results.at("verdict") == "conformant") {
    promise(record.launched || record.process_started, "nothing comes of nothing");
  }
  const std::string page = report::html(results) + report::junit(results);
  promise(report::to_utf8(page) == page, "reports are text");
  promise(report::to_utf8(page).find("<script") == std::string::npos, "reports run no script");
  for (const char byte : report::table(results, "/report", false)) {
    promise(byte == '\n' || static_cast<unsigned char>(byte) >= 0x20,
            "what is on the terminal cannot steer it");
  }
}

void read_policy(Input input) {
  const auto load = [](Input bytes) { return report::load_policy(MemoryFile(bytes).path()); };
  report::Policy policy;
  try {
    policy = load(input);
  } catch (const report::CannotRun& error) {
    promise(*error.what() != '\0', "a policy or a reason");
    return;
  }
  const std::string text = report::to_json(policy).dump();
  promise(report::to_json(load(std::as_bytes(std::span(text)))).dump() == text,
          "a policy is read back from its own text");
  for (const report::Policy::Skip& skip : policy.skips) {
    promise(report::matches(skip.test, skip.test), "a pattern matches itself");
  }
  const report::Json results = report::enforce(policy, report::judge({}));
  promise(results.at("verdict") != "conformant", "nothing is not what was expected");
}

}  // namespace conformance::fuzz
