#include "ci/audit/views.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "ci/report/text.h"

namespace conformance::audit {
namespace {

using Json = nlohmann::ordered_json;

std::string_view to_string(Runtime runtime) {
  switch (runtime) {
    case Runtime::none:
      return "none of its own";
    case Runtime::shared:
      return "shared";
    case Runtime::linked_in:
      return "linked in (static)";
  }
  return "";
}

/// "sm_80 x191, sm_90a x3, compute_120 (PTX 9.0) x5"
std::string counts(const std::map<std::string, std::size_t>& code) {
  std::vector<std::string> parts;
  parts.reserve(code.size());
  for (const auto& [name, count] : code) parts.push_back(fmt::format("{} x{}", name, count));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string file_text(const Examined& file) {
  const std::string path = report::printable(file.path);
  if (!file.error.empty()) return fmt::format("{}: not read: {}\n", path, file.error);
  std::string text = fmt::format("{}: {}\n", path, file.kind);
  const auto line = [&text](std::string_view what, std::string_view value) {
    text += fmt::format("  {}: {}\n", what, report::printable(value));
  };
  if (file.modules == 0) {
    text += "  carries no code for GPUs\n";
  } else {
    line("code for GPUs", counts(file.code));
  }
  if (file.concerns_cuda()) line("CUDA runtime", to_string(file.runtime));
  if (!file.needed_driver.empty()) line("driver", file.needed_driver + " or newer");
  for (const NeededLibrary& library : file.libraries) {
    line(library.name, library.path.empty() ? "not found, needed by " + library.wanted_by
                                            : fmt::format("{} by {}", library.path, library.how));
  }
  for (const Cover& cover : file.covers) {
    std::vector<std::string> parts;
    parts.reserve(cover.modules.size());
    for (const auto& [how, count] : cover.modules) {
      parts.push_back(fmt::format("{} {}", count, to_string(how)));
    }
    line(cover.target, fmt::format("{} ({} modules: {})", to_string(cover.best), file.modules,
                                   fmt::join(parts, ", ")));
  }
  for (const Problem& problem : file.problems) {
    line(problem.fatal ? "PROBLEM" : "note", problem.what);
    line("  remedy", problem.remedy);
  }
  return text;
}

/// How many files run how on each target.
std::map<std::string, std::map<Coverage, std::size_t>> by_target(const Audit& audit) {
  std::map<std::string, std::map<Coverage, std::size_t>> counts;
  for (const Examined& file : audit.files) {
    for (const Cover& cover : file.covers) ++counts[cover.target][cover.best];
  }
  return counts;
}

struct Totals {
  std::size_t cuda = 0, fatal = 0, unread = 0;
  explicit Totals(const Audit& audit) {
    for (const Examined& file : audit.files) {
      cuda += file.concerns_cuda() ? 1 : 0;
      fatal += file.fatal() ? 1 : 0;
      unread += file.error.empty() ? 0 : 1;
    }
  }
};

std::string_view verdict(const Audit& audit) {
  switch (audit.exit_code()) {
    case 0:
      return "runs";
    case 1:
      return "does not run";
    default:
      return "cannot be told";
  }
}

Json file_json(const Examined& file) {
  Json json{{"path", file.path}, {"kind", file.kind}, {"bytes", file.bytes}};
  if (!file.error.empty()) json["error"] = file.error;
  json["modules"] = file.modules;
  json["code"] = file.code;
  json["runtime"] = file.runtime == Runtime::shared      ? "shared"
                    : file.runtime == Runtime::linked_in ? "static"
                                                         : "none";
  if (!file.needed_driver.empty()) json["needed_driver"] = file.needed_driver;
  json["libraries"] = Json::array();
  for (const NeededLibrary& library : file.libraries) {
    json["libraries"].push_back({{"name", library.name},
                                 {"path", library.path.empty() ? Json() : Json(library.path)},
                                 {"found_by", library.how},
                                 {"needed_by", library.wanted_by}});
  }
  json["targets"] = Json::array();
  for (const Cover& cover : file.covers) {
    Json modules = Json::object();
    for (const auto& [how, count] : cover.modules) modules[std::string(to_string(how))] = count;
    json["targets"].push_back(
        {{"target", cover.target}, {"runs", to_string(cover.best)}, {"modules", modules}});
  }
  json["problems"] = Json::array();
  for (const Problem& problem : file.problems) {
    json["problems"].push_back(
        {{"fatal", problem.fatal}, {"what", problem.what}, {"remedy", problem.remedy}});
  }
  return json;
}

}  // namespace

std::string audit_text(const Audit& audit, const Host& host) {
  std::string text;
  for (const Examined& file : audit.files) text += file_text(file);
  const Totals totals(audit);
  text += fmt::format("\n{} of {} files concern CUDA, {} have a problem, {} not read; {:.1f} s\n",
                      totals.cuda, audit.looked_at, totals.fatal, totals.unread, audit.seconds);
  for (const auto& [target, ways] : by_target(audit)) {
    std::vector<std::string> parts;
    parts.reserve(ways.size());
    for (const auto& [how, count] : ways)
      parts.push_back(fmt::format("{} {}", count, to_string(how)));
    text += fmt::format("{}: {}\n", target, fmt::join(parts, ", "));
  }
  if (host.driver) text += fmt::format("driver here: CUDA {}\n", host.driver->text());
  return text + fmt::format("verdict: {}\n", verdict(audit));
}

std::string audit_json(const Audit& audit, const Host& host) {
  const Totals totals(audit);
  Json json{{"audit_version", 1},
            {"verdict", verdict(audit)},
            {"exit_code", audit.exit_code()},
            {"seconds", audit.seconds},
            {"driver_cuda", host.driver ? Json(host.driver->text()) : Json()},
            {"targets", Json::array()},
            {"looked_at", audit.looked_at},
            {"concern_cuda", totals.cuda},
            {"with_problems", totals.fatal},
            {"not_read", totals.unread},
            {"files", Json::array()}};
  for (const Target& target : host.targets) {
    json["targets"].push_back(
        {{"name", target.name}, {"compute_capability", target.capability.text()}});
  }
  for (const Examined& file : audit.files) json["files"].push_back(file_json(file));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace conformance::audit
