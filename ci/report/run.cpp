#include "ci/report/run.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <random>
#include <system_error>
#include <thread>

#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "fixtures/child.h"

namespace conformance::report {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// Set for the CTest that only lists, so that a test set which starts CTest once more ends there.
constexpr const char* kListingVariable = "CONFORMANCE_LISTING";

std::string environment(const char* name, std::string_view fallback) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? std::string(fallback) : value;
}

bool is_yes(std::string_view value) {
  return !(value.empty() || value == "0" || value == "false" || value == "off" || value == "no");
}

bool is_run_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 &&
         id.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
             std::string_view::npos;
}

std::string new_run_id(double now) {
  std::string given = environment("CONFORMANCE_RUN", "");
  if (given.empty()) {
    return fmt::format("{}-{:08x}", static_cast<std::int64_t>(now), std::random_device()());
  }
  if (!is_run_id(given)) {
    throw CannotRun(
        fmt::format("CONFORMANCE_RUN is \"{}\"; it may hold up to 64 letters, digits, "
                    "dots, dashes and underscores",
                    given));
  }
  return given;
}

/// One option of CTest that its listing must not get, and how many arguments belong to it.
struct Dropped {
  std::string_view name;
  int values;
};

/// What must not be passed on: where the listing looks for tests, what would write over the running
/// CTest's files, and what would mix other text into the listing.
constexpr std::array kDropped{
    Dropped{"--test-dir", 1},
    Dropped{"-O", 1},
    Dropped{"--output-log", 1},
    Dropped{"--output-junit", 1},
    Dropped{"-Q", 0},
    Dropped{"--quiet", 0},
    Dropped{"-V", 0},
    Dropped{"-VV", 0},
    Dropped{"--verbose", 0},
    Dropped{"--extra-verbose", 0},
    Dropped{"--debug", 0},
    Dropped{"--progress", 0},
    Dropped{"--output-on-failure", 0},
};

/// Modes in which CTest does more than test, so that it cannot be started once more to list only.
constexpr std::array<std::string_view, 15> kNotListable{
    "-S",          "-SP",         "--script",      "--script-new-process", "-D", "-M",
    "--dashboard", "-T",          "--test-model",  "--test-action",        "-F", "--build-and-test",
    "-A",          "--add-notes", "--submit-index"};

/// Modes in which CTest writes what a dashboard takes.
constexpr std::array<std::string_view, 10> kDashboard{
    "-S", "-SP", "--script",    "--script-new-process", "-D",
    "-M", "-T",  "--dashboard", "--test-model",         "--test-action"};

std::optional<std::vector<std::string>> listing_arguments(const std::vector<std::string>& given) {
  std::vector<std::string> kept;
  for (std::size_t i = 1; i < given.size(); ++i) {
    const std::string& argument = given[i];
    if (std::ranges::find(kNotListable, argument) != kNotListable.end()) return std::nullopt;
    bool dropped = false;
    for (const Dropped& option : kDropped) {
      if (argument == option.name) {
        i += static_cast<std::size_t>(option.values);
        dropped = true;
      } else if (option.name.starts_with("--") && option.values == 1 &&
                 argument.starts_with(std::string(option.name) + "=")) {
        dropped = true;
      }
      if (dropped) break;
    }
    if (!dropped) kept.push_back(argument);
  }
  return kept;
}

bool uses_preset(const std::vector<std::string>& arguments) {
  return std::ranges::any_of(arguments, [](const std::string& argument) {
    return argument == "--preset" || argument.starts_with("--preset=");
  });
}

/// A folder of our own, removed at the end. It has a fixed name, so that the next run removes what
/// a killed one left.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(fs::path path) : path_(std::move(path)) {
    fs::remove_all(path_);
    fs::create_directory(path_);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;  // a folder left there does no harm
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// A path as a quoted argument of CTest's test file language.
std::string quoted(const fs::path& path) {
  std::string bracket = "=";
  while (path.native().find("]" + bracket + "]") != std::string::npos) bracket += '=';
  return "[" + bracket + "[" + path.native() + "]" + bracket + "]";
}

bool contains(const Json& list, std::string_view text) {
  return list.is_array() && std::ranges::any_of(list, [&](const Json& item) {
           return item.is_string() && item.get_ref<const std::string&>() == text;
         });
}

/// The conformance entries of CTest's listing, "--show-only=json-v1". Nothing if we are not in the
/// listing ourselves, so that it is of another set of tests.
std::optional<std::vector<SelectedEntry>> entries_of_listing(const Json& listing) {
  std::vector<SelectedEntry> entries;
  bool listed_ourselves = false;
  for (const Json& test : listing.at("tests")) {
    SelectedEntry entry;
    entry.name = test.at("name").get<std::string>();
    entry.layer = entry.name.substr(0, entry.name.find('.'));
    bool reported = false;
    for (const Json& property : test.value("properties", Json::array())) {
      const std::string name = property.at("name").get<std::string>();
      const Json& value = property.at("value");
      if (name == "FIXTURES_SETUP" && contains(value, "report")) listed_ourselves = true;
      if (name == "FIXTURES_REQUIRED") reported = contains(value, "report");
      if (name == "LABELS") {
        // CTest sorts them, so the level is known by its name and not by its place.
        for (const char* level : {"quick", "standard", "stress"}) {
          if (contains(value, level)) entry.level = level;
        }
      }
    }
    if (reported) entries.push_back(std::move(entry));
  }
  if (!listed_ourselves) return std::nullopt;
  return entries;
}

/// Where a running CTest keeps the log that it is writing, under the folder that it tests.
bool is_being_tested(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder / "Testing" / "Temporary", error), end;
       !error && entry != end; entry.increment(error)) {
    if (entry->path().filename().native().starts_with("LastTest.log.tmp")) return true;
  }
  return false;
}

/// The folder that CTest tests. While it starts a test it is in that test's folder for a moment, so
/// what it is in is believed only if it has the log; after a second anyway, since a CTest may keep
/// its log elsewhere.
fs::path tested_folder_of(const ProcessId& ctest) {
  constexpr int kTries = 1000;
  fs::path folder;
  for (int i = 0; i < kTries; ++i) {
    folder = working_folder_of(ctest.pid);
    if (folder.empty() || is_being_tested(folder)) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return folder;
}

/// Asks CTest itself what it will run: the same CTest, with the same arguments, only listing. It
/// lists from a folder of its own, because even a listing writes to the log of the folder it is
/// in, which the running CTest has open.
std::optional<std::vector<SelectedEntry>> ask_ctest(const ProcessId& ctest, const fs::path& source,
                                                    const Folder& folder) {
  if (std::getenv(kListingVariable) != nullptr) return std::nullopt;
  const fs::path program = executable_of(ctest.pid);
  const fs::path tested = tested_folder_of(ctest);
  const auto arguments = listing_arguments(arguments_of(ctest.pid));
  if (program.empty() || tested.empty() || !arguments) return std::nullopt;
  try {
    const TemporaryFolder listing(folder.root / ".listing");
    write_file(listing.path() / "CTestTestfile.cmake",
               fmt::format("subdirs({})\n", quoted(tested)));
    const fs::path memory = fs::path("Testing") / "Temporary";
    fs::create_directories(listing.path() / memory);
    std::error_code no_memory;  // only --rerun-failed needs it, and CTest says so itself
    fs::copy_file(tested / memory / "LastTestsFailed.log",
                  listing.path() / memory / "LastTestsFailed.log", no_memory);

    // CTest changes into the tested folder, but presets are looked up where it was started.
    fs::current_path(uses_preset(*arguments) ? source : tested);
    ChildOptions options;
    options.argv = {program.native()};
    options.argv.insert(options.argv.end(), arguments->begin(), arguments->end());
    for (std::string argument :
         {std::string("--test-dir"), listing.path().native(), std::string("--show-only=json-v1")}) {
      options.argv.push_back(std::move(argument));
    }
    options.environment[kListingVariable] = std::string("1");
    options.deadline = std::chrono::seconds(60);
    options.output_limit = std::size_t{1} << 28;
    const ChildResult result = run_child(options);
    if (!result.succeeded()) return std::nullopt;
    return entries_of_listing(Json::parse(result.output));
  } catch (const Json::exception&) {
    return std::nullopt;
  } catch (const fs::filesystem_error&) {
    return std::nullopt;
  } catch (const CannotRun&) {
    return std::nullopt;
  }
}

std::string level_of(const std::optional<std::vector<SelectedEntry>>& selection) {
  const auto is_level = [](std::string_view level) {
    return [level](const SelectedEntry& entry) { return entry.level == level; };
  };
  if (!selection) return "standard";
  if (std::ranges::any_of(*selection, is_level("stress"))) return "stress";
  return std::ranges::all_of(*selection, is_level("quick")) ? "quick" : "standard";
}

Json to_json(const Run& run) {
  Json selection = nullptr;
  if (run.selection) {
    selection = Json::array();
    for (const SelectedEntry& entry : *run.selection) {
      selection.push_back({{"name", entry.name}, {"layer", entry.layer}, {"level", entry.level}});
    }
  }
  Json ctest = nullptr;
  if (run.ctest) ctest = {{"pid", run.ctest->pid}, {"start_ticks", run.ctest->start_ticks}};
  return {{"schema", "cuda-conformance/run"},
          {"schema_version", 1},
          {"id", run.id},
          {"started", run.started},
          {"level", run.level},
          {"cuda_origin", run.cuda_origin},
          {"simulated", run.simulated},
          {"selection", selection},
          {"ctest", ctest}};
}

/// run.json of an earlier or a concurrent run; nothing if there is none that can be read.
std::optional<Run> load_run_if_any(const Folder& folder) {
  try {
    return load_run(folder);
  } catch (const CannotRun&) {
    return std::nullopt;
  }
}

}  // namespace

double unix_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Run begin_run(const Folder& folder, const fs::path& source, bool select_nothing) {
  Run run;
  run.started = unix_time();
  run.id = new_run_id(run.started);
  run.ctest = parent_ctest();
  if (const auto other = load_run_if_any(folder);
      other && other->ctest && other->ctest != run.ctest &&
      find_process(other->ctest->pid) == other->ctest && !fs::exists(folder.results())) {
    throw CannotRun(
        fmt::format("another CTest, process {}, is reporting to {}; wait for its end, or set "
                    "CONFORMANCE_REPORT_DIR to another folder",
                    other->ctest->pid, folder.root.native()));
  }
  prepare(folder);
  if (select_nothing) {
    run.selection.emplace();
  } else if (run.ctest) {
    run.selection = ask_ctest(*run.ctest, source, folder);
  }
  run.level = environment("CONFORMANCE_LEVEL", level_of(run.selection));
  run.cuda_origin = environment("CONFORMANCE_CUDA_ORIGIN", "nix");
  run.simulated = is_yes(environment("CONFORMANCE_SIMULATED", ""));
  write_file(folder.run(), to_json(run).dump(2, ' ', false, Json::error_handler_t::replace) + '\n');
  return run;
}

Run load_run(const Folder& folder) {
  const std::string text = read_file(folder.run());
  try {
    const Json json = Json::parse(text);
    if (json.at("schema") != "cuda-conformance/run" || json.at("schema_version") != 1) {
      throw CannotRun(fmt::format("{} is of another version", folder.run().native()));
    }
    Run run;
    run.id = json.at("id").get<std::string>();
    run.started = json.at("started").get<double>();
    run.level = json.at("level").get<std::string>();
    run.cuda_origin = json.at("cuda_origin").get<std::string>();
    run.simulated = json.at("simulated").get<bool>();
    if (const Json& selection = json.at("selection"); !selection.is_null()) {
      run.selection.emplace();
      for (const Json& entry : selection) {
        run.selection->push_back({entry.at("name").get<std::string>(),
                                  entry.at("layer").get<std::string>(),
                                  entry.at("level").get<std::string>()});
      }
    }
    if (const Json& ctest = json.at("ctest"); !ctest.is_null()) {
      run.ctest = {ctest.at("pid").get<pid_t>(), ctest.at("start_ticks").get<std::uint64_t>()};
    }
    return run;
  } catch (const Json::exception& error) {
    throw CannotRun(fmt::format("{} is damaged: {}", folder.run().native(), error.what()));
  }
}

bool feeds_dashboard(const ProcessId& ctest) {
  return std::ranges::any_of(arguments_of(ctest.pid), [](const std::string& argument) {
    return std::ranges::find(kDashboard, argument) != kDashboard.end();
  });
}

void ensure_same_ctest(const Run& run) {
  const std::optional<ProcessId> parent = parent_ctest();
  if (!parent || !run.ctest || parent == run.ctest) return;
  throw CannotRun(
      "the run in the report folder was begun by another CTest: run the entry report.Begin too (do "
      "not exclude the fixture \"report\"), or set CONFORMANCE_REPORT_DIR to another folder");
}

}  // namespace conformance::report
