#include "ci/report/journals.h"

#include <string>

#include <nlohmann/json.hpp>

#include "ci/report/html.h"
#include "ci/report/junit.h"
#include "ci/report/results.h"
#include "ci/report/table.h"
#include "ci/report/text.h"
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

}  // namespace conformance::fuzz
