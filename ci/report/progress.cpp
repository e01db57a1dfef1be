#include "ci/report/progress.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ci/report/results.h"
#include "ci/report/run.h"
#include "ci/report/text.h"

namespace conformance::report {
namespace {

/// Back to the line's beginning, and what is there goes.
constexpr std::string_view kErase = "\r\x1b[K";

/// The last whole record whose type begins so.
Json last_record(std::string_view journal, std::string_view type) {
  const std::string member = fmt::format("\"type\":\"{}", type);
  for (std::size_t end = journal.rfind('\n'); end != std::string_view::npos && end > 0;) {
    const std::size_t before = journal.rfind('\n', end - 1);
    const std::size_t start = before == std::string_view::npos ? 0 : before + 1;
    const std::string_view line = journal.substr(start, end - start);
    if (line.find(member) != line.npos) return Json::parse(line, nullptr, false);
    end = before;
  }
  return nullptr;
}

std::string text_of(const Json& record, const char* name) {
  const auto found = record.find(name);
  return record.is_object() && found != record.end() && found->is_string()
             ? found->get<std::string>()
             : "";
}

double number_of(const Json& record, const char* name) {
  const auto found = record.find(name);
  return record.is_object() && found != record.end() && found->is_number() ? found->get<double>()
                                                                           : 0;
}

/// The file's text; nothing if it is not there yet.
std::string text_if_any(const std::filesystem::path& path) {
  try {
    return read_file(path);
  } catch (const CannotRun&) {
    return "";
  }
}

std::string duration(double seconds) {
  const auto whole = static_cast<long>(std::max(0.0, std::ceil(seconds)));
  if (whole < 100) return fmt::format("{} s", whole);
  return whole < 6000 ? fmt::format("{} min", (whole + 59) / 60)
                      : fmt::format("{} h", (whole + 3599) / 3600);
}

/// A terminal that is gone is no reason to hold up who writes to us.
void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::size_t width_of(int terminal) {
  winsize size{};
  return ::ioctl(terminal, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(Folder folder, std::string id, std::chrono::seconds stress_length)
    : folder_(std::move(folder)),
      id_(std::move(id)),
      stress_length_(static_cast<double>(stress_length.count())) {
  try {
    const Json results = load_results(folder_.results());
    double all = 0;
    for (const Json& entry : results.at("entries")) {
      if (!entry.at("seconds").is_number()) continue;
      all += seconds_before_[entry.at("name").get<std::string>()] =
          entry.at("seconds").get<double>();
    }
    const double took =
        results.at("run").at("ended").get<double>() - results.at("run").at("started").get<double>();
    if (took > 0) speed_up_before_ = std::max(all / took, 1.0);
  } catch (const CannotRun&) {
    // There was no run before.
  } catch (const Json::exception&) {
    seconds_before_.clear();
  }
}

double Progress::left_in_all(double now) const {
  double left = 0;
  for (const std::string& entry : selected_) {
    const auto before = seconds_before_.find(entry);
    if (ended_.contains(entry)) continue;
    if (before == seconds_before_.end()) return 0;
    const auto since = running_.find(entry);
    left += std::max(0.0, before->second - (since == running_.end() ? 0 : now - since->second));
  }
  return left / speed_up_before_;
}

std::string Progress::line(double now, std::size_t width) {
  std::optional<Run> run;
  try {
    run = load_run(folder_);
  } catch (const CannotRun&) {
    return "";  // not begun
  }
  if ((!id_.empty() && run->id != id_) || !run->selection) return "";
  running_.clear();
  std::string longest;
  std::string what;
  for (const SelectedEntry& entry : *run->selection) {
    selected_.insert(entry.name);
    if (ended_.contains(entry.name)) continue;
    const std::string launch = text_if_any(folder_.launch_journal(entry.name));
    const Json last = last_record(launch, "entry-");
    if (text_of(last, "run") != run->id) continue;
    if (text_of(last, "type") != "entry-start") {
      ended_.insert(entry.name);
      continue;
    }
    const double since = number_of(last, "time");
    running_[entry.name] = since;
    if (!longest.empty() && running_.at(longest) <= since) continue;
    longest = entry.name;
    const Json test = last_record(text_if_any(folder_.suite_journal(entry.name)), "test-");
    const bool stress = entry.level == "stress";
    const double length = stress ? stress_length_ : number_of(last, "limit_seconds");
    const double begun = stress ? number_of(test, "time") : since;
    what = fmt::format("{}, {}, {} {} left",
                       text_of(test, "type") == "test-start" ? text_of(test, "test") : entry.name,
                       duration(now - since), stress ? "about" : "at most",
                       duration(begun + length - now));
  }
  if (running_.empty()) return "";
  std::string text = fmt::format("[{} of {}] {}", ended_.size(), selected_.size(), what);
  if (running_.size() > 1) text += fmt::format(" ({} more)", running_.size() - 1);
  if (const double left = left_in_all(now); left > 0) {
    text += fmt::format("; in all about {}", duration(left));
  }
  return shorten(printable(text), width);
}

void pass_on_with_progress(int in, int out, Progress& progress) {
  std::array<char, 4096> buffer;
  bool shown = false;
  bool at_line_start = true;
  const auto erase = [&] {
    if (shown) write_all(out, kErase);
    shown = false;
  };
  for (pollfd input{in, POLLIN, 0};;) {
    const int ready = ::poll(&input, 1, 1000);
    if (ready < 0 && errno != EINTR) break;
    if (ready > 0) {
      const ssize_t size = ::read(in, buffer.data(), buffer.size());
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) break;
      erase();
      const std::string_view piece(buffer.data(), static_cast<std::size_t>(size));
      at_line_start = piece.back() == '\n';
      write_all(out, piece);
    }
    if (!at_line_start) continue;
    const std::string line = progress.line(unix_time(), width_of(out) - 1);
    erase();
    write_all(out, line);
    shown = !line.empty();
  }
  erase();
}

}  // namespace conformance::report
