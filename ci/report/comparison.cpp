#include "ci/report/comparison.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <compare>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "ci/report/host.h"
#include "ci/report/merge.h"
#include "ci/report/results.h"
#include "ci/report/statistics.h"
#include "fixtures/figure.h"

namespace conformance::report {
namespace {

constexpr const char* kGpus = "GPUs";
constexpr const char* kLinks = "Peers and links";
constexpr const char* kTests = "Tests";
constexpr const char* kFigures = "Figures";
constexpr const char* kLibraries = "Libraries";
constexpr const char* kFacts = "Host";

/// Facts that differ from run to run on one and the same host, and those that are compared as what
/// they are made of: GPUs and links.
constexpr std::array<std::string_view, 19> kNotCompared{"devices.other-processes.",
                                                        "devices.free-memory-bytes.",
                                                        "devices.clock-reasons",
                                                        "devices.nvlink-",
                                                        "devices.open-list.",
                                                        "devices.kernel-log",
                                                        "devices.of-others",
                                                        "devices.order-by-speed",
                                                        "driver.ptx-compiler.log",
                                                        "nccl.forced",
                                                        "nccl.shared-memory",
                                                        "nccl.all-reduce-sweep",
                                                        "rank.",
                                                        "devices.gpu-",
                                                        "devices.nvlinks.",
                                                        "devices.nvml-index.",
                                                        "peer.access-matrix",
                                                        "peer.paths",
                                                        "runtime.device-count"};

/// Where more is worse, and where less is.
constexpr std::array<std::string_view, 2> kWorseIfMore{"devices.remapped-rows.",
                                                       "devices.ecc-uncorrected-in-lifetime."};
constexpr std::array<std::string_view, 2> kWorseIfLess{"devices.ecc.", "devices.fabric-state."};

/// What changes with a new version of something. A member that ends with a dot or a dash is the
/// beginning of names.
struct Family {
  std::vector<std::string_view> causes, members;
};
const std::vector<Family>& families() {
  static const std::vector<Family> families{
      {{"driver.version"},
       {"driver.", "process.libcuda", "process.libnvidia-", "runtime.driver-supports",
        "runtime.code.", "devices.reserved-bytes."}},
      {{"toolkit.version", "toolkit.nvcc", "toolkit.nvrtc", "toolkit.cublas", "toolkit.cublasLt",
        "toolkit.directory"},
       {"toolkit.", "process.libcudart", "process.libcublas", "process.libcublasLt",
        "process.libnvrtc", "process.libnvrtc-", "runtime.version", "runtime.header-version",
        "runtime.code.", "cublas.version", "cublas.kernel.", "driver.verdict",
        "driver.device-code.", "driver.entry-points."}},
      {{"nccl.version", "toolkit.nccl"},
       {"nccl.version", "toolkit.nccl", "toolkit.nccl-built-for", "toolkit.loaded.libnccl",
        "process.libnccl"}},
      {{"host.os"}, {"host.os", "process.libc", "process.libstdc++"}},
      {{"host.kernel"}, {"host.kernel", "driver.kernel-module"}}};
  return families;
}

bool begins_with_any(std::string_view name, const auto& beginnings) {
  return std::ranges::any_of(beginnings,
                             [&](std::string_view item) { return name.starts_with(item); });
}

bool is_compared(std::string_view name) {
  // What else cuBLAS tells is which clocks, power and heat a figure was taken at.
  if (name.starts_with("cublas.")) {
    return name == "cublas.version" || name.starts_with("cublas.kernel.");
  }
  return !begins_with_any(name, kNotCompared);
}

bool is_member(std::string_view name, std::string_view member) {
  return member.ends_with('.') || member.ends_with('-') ? name.starts_with(member) : name == member;
}

/// A GPU of both runs; of one of them, if the other is null.
struct Match {
  const ReportedGpu* before = nullptr;
  const ReportedGpu* after = nullptr;
  std::string name;  ///< what texts of both runs have instead of its UUID and its address
};

/// The same GPU has the same UUID. One that was exchanged is at the place of the one that it
/// replaces, or else one of the same model.
std::vector<Match> match_gpus(const ReportedHost& before, const ReportedHost& after) {
  std::vector<Match> matches;
  std::set<const ReportedGpu*> taken;
  matches.reserve(before.gpus.size() + after.gpus.size());
  for (const ReportedGpu& gpu : before.gpus) matches.push_back({&gpu, nullptr, ""});
  const auto match_by = [&](const auto& same) {
    for (Match& match : matches) {
      if (match.after != nullptr) continue;
      for (const ReportedGpu& gpu : after.gpus) {
        if (taken.contains(&gpu) || !same(*match.before, gpu)) continue;
        match.after = &gpu;
        taken.insert(&gpu);
        break;
      }
    }
  };
  using Gpu = const ReportedGpu&;
  match_by([](Gpu one, Gpu other) { return one.uuid == other.uuid; });
  match_by(
      [](Gpu one, Gpu other) { return one.bus_id == other.bus_id && one.model == other.model; });
  match_by([](Gpu one, Gpu other) { return one.model == other.model; });
  for (const ReportedGpu& gpu : after.gpus) {
    if (!taken.contains(&gpu)) matches.push_back({nullptr, &gpu, ""});
  }
  for (Match& match : matches) {
    match.name = match.before != nullptr ? fmt::format("GPU {}", match.before->ordinal)
                                         : fmt::format("new GPU {}", match.after->ordinal);
  }
  return matches;
}

std::string describe(const ReportedGpu& gpu) {
  return fmt::format("{}, {}, {}", gpu.model, gpu.uuid, gpu.bus_id);
}

/// UUIDs and addresses of a run's GPUs, and their names in the comparison; the longest first, for
/// one may be the beginning of another.
using Names = std::vector<std::pair<std::string, std::string>>;

Names names_of(const std::vector<Match>& matches, const ReportedGpu* Match::*side) {
  Names names;
  for (const Match& match : matches) {
    const ReportedGpu* gpu = match.*side;
    if (gpu == nullptr) continue;
    names.emplace_back(gpu->uuid, match.name);
    names.emplace_back(gpu->bus_id, match.name);
  }
  std::ranges::stable_sort(names, [](const auto& one, const auto& other) {
    return one.first.size() > other.first.size();
  });
  return names;
}

/// The text with names instead of UUIDs and addresses.
std::string with_names(std::string_view text, const Names& names) {
  std::string result;
  while (!text.empty()) {
    const auto found = std::ranges::find_if(names, [&](const auto& item) {
      return !item.first.empty() && text.starts_with(item.first);
    });
    if (found == names.end()) {
      result += text.front();
      text.remove_prefix(1);
    } else {
      result += found->second;
      text.remove_prefix(found->first.size());
    }
  }
  return result;
}

/// "GPU 0", "GPU 0 -> GPU 1": the subject with the names of the comparison, whatever ordinals it
/// has in its run.
std::string subject_name(const Json& subject, const Names& names) {
  const std::string name = words(subject.at("name"));
  std::string replaced = with_names(name, names);
  // "GPU 3 (GPU-uuid, address)" and "GPU 3 -> GPU 5 (address -> address)".
  const std::size_t open = replaced.find(" (");
  if (replaced == name || open == std::string::npos || !replaced.ends_with(')')) return replaced;
  const std::string inner = replaced.substr(open + 2, replaced.size() - open - 3);
  return subject.at("kind") == "device" ? inner.substr(0, inner.find(',')) : inner;
}

/// How good it is that a test ended so: the greater the better.
int rank_of_outcome(std::string_view outcome) {
  return outcome == "passed" ? 3 : outcome == "skipped" ? 2 : outcome == "slow" ? 1 : 0;
}

/// "generation 5 of 5, 16 of 16 lanes" as the generation and lanes in use.
std::optional<std::pair<int, int>> parse_pcie(std::string_view text) {
  const auto number_at = [](std::string_view part) {
    int number = -1;
    std::from_chars(part.data(), part.data() + part.size(), number);
    return number;
  };
  constexpr std::string_view kGeneration = "generation ";
  const std::size_t comma = text.find(", ");
  if (!text.starts_with(kGeneration) || comma == std::string_view::npos) return std::nullopt;
  const std::pair<int, int> use{number_at(text.substr(kGeneration.size())),
                                number_at(text.substr(comma + 2))};
  return use.first < 0 || use.second < 0 ? std::optional<std::pair<int, int>>() : use;
}

/// A number, or a switch that is on or off.
std::optional<double> number_of(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (value.is_number()) return value.get<double>();
  return std::nullopt;
}

/// What follows "build id " in what a run tells of a library.
std::string build_of(const Json& library) {
  constexpr std::string_view kBuild = "build id ";
  const std::string text = words(library);
  const std::size_t found = text.rfind(kBuild);
  return found == std::string::npos ? "" : text.substr(found + kBuild.size());
}

struct MeasuredFigure {
  std::string test, name, unit, subject;
  std::optional<double> value;  ///< nothing for a NaN
  std::vector<double> samples;
};

/// The figures of a run by test, name, unit and subject.
std::map<std::string, MeasuredFigure> figures_of(const Json& results, const Names& names) {
  std::map<std::string, MeasuredFigure> figures;
  for (const Json& test : results.at("tests")) {
    for (const Json& item : test.at("figures")) {
      MeasuredFigure figure{words(test.at("name")),
                            words(item.at("name")),
                            words(item.at("unit")),
                            subject_name(item.at("subject"), names),
                            {},
                            {}};
      if (item.at("value").is_number()) figure.value = item.at("value").get<double>();
      for (const Json& sample : item.at("samples")) {
        if (sample.is_number()) figure.samples.push_back(sample.get<double>());
      }
      const std::string key =
          fmt::format("{}\n{}\n{}\n{}", figure.test, figure.name, figure.unit, figure.subject);
      figures.emplace(key, std::move(figure));
    }
  }
  return figures;
}

class Comparer {
 public:
  Comparer(const Json& before, const std::string& before_file, const Json& after,
           const std::string& after_file)
      : before_(before),
        after_(after),
        before_host_(host_of(before, before_file)),
        after_host_(host_of(after, after_file)),
        matches_(match_gpus(before_host_, after_host_)),
        before_names_(names_of(matches_, &Match::before)),
        after_names_(names_of(matches_, &Match::after)) {
    comparison_.before = side(before, before_file);
    comparison_.after = side(after, after_file);
    comparison_.simulated = before.at("simulated").get<bool>();
    if (comparison_.simulated != after.at("simulated").get<bool>()) {
      throw CannotRun(fmt::format("{} is of {} GPUs, {} of {} ones: they cannot be compared",
                                  before_file, comparison_.simulated ? "simulated" : "real",
                                  after_file, comparison_.simulated ? "real" : "simulated"));
    }
  }

  Comparison run() {
    compare_gpus();
    compare_peers();
    compare_tests();
    compare_figures();
    compare_facts();
    if (comparison_.tests == 0) {
      throw CannotRun(fmt::format("{} and {} have no test in common", comparison_.before.file,
                                  comparison_.after.file));
    }
    std::ranges::stable_sort(comparison_.differences, {}, &Difference::effect);
    return std::move(comparison_);
  }

 private:
  static Comparison::Side side(const Json& results, const std::string& file) {
    const Json& run = results.at("run");
    return {file, words(run.at("id")), words(run.at("level")), words(results.at("verdict")),
            run.at("started").get<double>()};
  }

  void add(const char* part, Effect effect, std::string what, std::string before, std::string after,
           std::string note = "") {
    comparison_.differences.push_back(
        {effect, part, std::move(what), std::move(before), std::move(after), std::move(note)});
  }

  void compare_gpus() {
    for (const Match& match : matches_) {
      if (match.after == nullptr) {
        add(kGpus, Effect::worse, match.name, describe(*match.before), "", "lost");
      } else if (match.before == nullptr) {
        add(kGpus, Effect::changed, match.name, "", describe(*match.after), "new");
      } else {
        compare_gpu(match.name, *match.before, *match.after);
      }
    }
  }

  void compare_gpu(const std::string& name, const ReportedGpu& before, const ReportedGpu& after) {
    ++comparison_.gpus;
    if (before.uuid != after.uuid) {
      add(kGpus, Effect::changed, name, describe(before), describe(after), "another GPU");
    } else if (before.bus_id != after.bus_id) {
      add(kGpus, Effect::changed, name, before.bus_id, after.bus_id, "at another address");
    }
    const auto compare_number = [&](const char* what, std::uint64_t old, std::uint64_t now,
                                    bool alarming) {
      if (old == now) return;
      add(kGpus,
          now > old  ? Effect::better
          : alarming ? Effect::worse
                     : Effect::changed,
          fmt::format("{}: {}", name, what), fmt::format("{}", old), fmt::format("{}", now));
    };
    compare_number("multiprocessors", before.multiprocessors, after.multiprocessors, true);
    // What the driver keeps for itself differs a little from version to version.
    const auto memory = static_cast<double>(before.memory_mib);
    compare_number("memory, MiB", before.memory_mib, after.memory_mib,
                   static_cast<double>(after.memory_mib) < 0.99 * memory);
    if (before.capability != after.capability) {
      add(kGpus, Effect::changed, name + ": compute capability", before.capability,
          after.capability);
    }
    if (before.nvlinks && after.nvlinks && before.nvlinks != after.nvlinks) {
      add(kLinks, *after.nvlinks < *before.nvlinks ? Effect::worse : Effect::better,
          name + ": NVLinks that are up", fmt::format("{}", *before.nvlinks),
          fmt::format("{}", *after.nvlinks));
    }
  }

  void compare_peers() {
    const auto place = [](const ReportedHost& host, const ReportedGpu* gpu) {
      return static_cast<std::size_t>(gpu - host.gpus.data());
    };
    for (const Match& from : matches_) {
      for (const Match& to : matches_) {
        if (&from == &to || from.before == nullptr || from.after == nullptr ||
            to.before == nullptr || to.after == nullptr) {
          continue;
        }
        const std::string pair = fmt::format("{} -> {}", from.name, to.name);
        const auto cells = [&](const auto& matrix_before, const auto& matrix_after) {
          return std::pair{
              matrix_before[place(before_host_, from.before)][place(before_host_, to.before)],
              matrix_after[place(after_host_, from.after)][place(after_host_, to.after)]};
        };
        if (before_host_.access && after_host_.access) {
          const auto [old, now] = cells(*before_host_.access, *after_host_.access);
          if (old != now) {
            add(kLinks, now == '1' ? Effect::better : Effect::worse, pair + ": peer access",
                old == '1' ? "yes" : "no", now == '1' ? "yes" : "no");
          }
        }
        if (before_host_.paths && after_host_.paths) {
          const auto [old, now] = cells(*before_host_.paths, *after_host_.paths);
          if (old != now) {
            const int difference = rank_of_path(now) - rank_of_path(old);
            add(kLinks, difference < 0 ? Effect::worse : Effect::better, pair + ": path", old, now);
          }
        }
      }
    }
  }

  void compare_tests() {
    const auto outcomes_of = [](const Json& results) {
      std::map<std::string, const Json*> outcomes;
      for (const Json& test : results.at("tests")) outcomes.emplace(words(test.at("name")), &test);
      return outcomes;
    };
    const auto old = outcomes_of(before_);
    const auto now = outcomes_of(after_);
    // A policy is not part of the host: a run without one lacks nothing.
    const auto is_of_policy = [](const Json& test) { return test.at("layer") == "gate"; };
    for (const Json& test : before_.at("tests")) {
      const std::string name = words(test.at("name"));
      const std::string outcome = words(test.at("outcome"));
      const auto found = now.find(name);
      if (found != now.end()) {
        compare_outcomes(name, test, *found->second);
      } else if (!is_of_policy(test)) {
        add(kTests, outcome == "passed" ? Effect::worse : Effect::changed, name, outcome, "",
            was_selected(after_, test) ? "there is no such test any more" : "not selected");
      }
    }
    for (const Json& test : after_.at("tests")) {
      const std::string name = words(test.at("name"));
      if (old.contains(name) || is_of_policy(test)) continue;
      const std::string outcome = words(test.at("outcome"));
      const bool good = rank_of_outcome(outcome) > 1;
      add(kTests, good ? Effect::changed : Effect::worse, name, "", outcome, "new");
    }
  }

  /// Whether the run was to do the entry of a test.
  static bool was_selected(const Json& results, const Json& test) {
    return std::ranges::none_of(results.at("entries"), [&](const Json& entry) {
      return entry.at("name") == test.at("entry") && entry.at("selected") == false;
    });
  }

  void compare_outcomes(const std::string& name, const Json& before, const Json& after) {
    ++comparison_.tests;
    const std::string old = words(before.at("outcome"));
    const std::string now = words(after.at("outcome"));
    if (old == now) return;
    const int difference = rank_of_outcome(now) - rank_of_outcome(old);
    // A failure that is skipped now is not mended.
    const Effect effect = difference < 0                        ? Effect::worse
                          : difference == 0 || now == "skipped" ? Effect::changed
                                                                : Effect::better;
    std::string note = words(after.at("skip_reason"));
    if (note.empty() && !after.at("blocked_by").is_null()) {
      note = "blocked by " + words(after.at("blocked_by"));
    }
    add(kTests, effect, name, old, now, note);
  }

  void compare_figures() {
    const auto old = figures_of(before_, before_names_);
    const auto now = figures_of(after_, after_names_);
    std::set<std::string> passed;
    for (const Json& test : after_.at("tests")) {
      if (rank_of_outcome(words(test.at("outcome"))) != 2) passed.insert(words(test.at("name")));
    }
    for (const auto& [key, figure] : old) {
      const auto found = now.find(key);
      if (found != now.end()) {
        compare_figure(figure, found->second);
        continue;
      }
      // Of a test that was not run, or a GPU that is lost, that is said already.
      const bool lost = std::ranges::any_of(matches_, [&](const Match& match) {
        return match.after == nullptr && figure.subject.find(match.name) != std::string::npos;
      });
      if (!lost && figure.value && passed.contains(figure.test)) {
        add(kFigures, Effect::worse, figure_name(figure), format(*figure.value, figure), "",
            "not measured any more");
      }
    }
  }

  static std::string figure_name(const MeasuredFigure& figure) {
    return fmt::format("{} of {} ({})", figure.name, figure.subject, figure.test);
  }
  static std::string format(double value, const MeasuredFigure& figure) {
    return fmt::format("{:.4g} {}", value, figure.unit);
  }

  void compare_figure(const MeasuredFigure& before, const MeasuredFigure& after) {
    if (!before.value || !after.value) {
      if (before.value && !after.value) {
        add(kFigures, Effect::worse, figure_name(before), format(*before.value, before),
            "not a number");
      }
      return;
    }
    ++comparison_.figures;
    const FigureKind kind = kind_of(before.name, before.unit);
    const double difference = *after.value - *before.value;
    const auto spread_of = [](const MeasuredFigure& figure) {
      return figure.samples.empty() ? 0.0 : spread(figure.samples);
    };
    const double noise = std::hypot(spread_of(before), spread_of(after));
    const double distance = std::abs(difference);
    if (!(distance > kSpreads * noise && distance > kind.noise * std::abs(*before.value))) return;
    const bool more = difference > 0;
    const Effect effect = kind.better == Better::neither          ? Effect::changed
                          : more == (kind.better == Better::more) ? Effect::better
                                                                  : Effect::worse;
    add(kFigures, effect, figure_name(before), format(*before.value, before),
        format(*after.value, after),
        fmt::format("{}noise {:.2g} {}",
                    *before.value == 0
                        ? std::string()
                        : fmt::format("{:+.1f} %, ", 100 * difference / std::abs(*before.value)),
                    noise, before.unit));
  }

  /// The values of facts by their names in the comparison, in which a fact's name in the run comes
  /// along.
  struct Told {
    std::string name;
    std::vector<Json> values;
  };
  static std::map<std::string, Told> facts_of(const Json& results, const Names& names) {
    std::map<std::string, Told> facts;
    for (const Json& item : results.at("facts")) {
      const std::string name = words(item.at("name"));
      if (!is_compared(name)) continue;
      Told& told = facts[with_names(name, names)];
      told.name = name;
      const Json& value = item.at("value");
      Json named = value;
      if (value.is_string()) named = with_names(words(value), names);
      told.values.push_back(std::move(named));
    }
    return facts;
  }

  void compare_facts() {
    const auto old = facts_of(before_, before_names_);
    const auto now = facts_of(after_, after_names_);
    std::set<std::string> changed;
    for (const auto& [name, told] : old) {
      const auto found = now.find(name);
      if (found == now.end()) continue;
      ++comparison_.facts;
      if (found->second.values != told.values) changed.insert(name);
    }
    for (const std::string& name : changed) {
      compare_fact(name, old.at(name), now.at(name), changed);
    }
    for (const auto& [name, told] : old) {
      if (!now.contains(name) && name.starts_with("process.")) {
        add(kLibraries, Effect::changed, name, words(told.values.front()), "", "not loaded");
      }
    }
    for (const auto& [name, told] : now) {
      if (!old.contains(name) && name.starts_with("process.")) {
        add(kLibraries, Effect::changed, name, "", words(told.values.front()), "not loaded before");
      }
    }
  }

  void compare_fact(const std::string& name, const Told& before, const Told& after,
                    const std::set<std::string>& changed) {
    const char* const part =
        name.starts_with("process.") || name.starts_with("toolkit.loaded.") ? kLibraries : kFacts;
    const Json& old = before.values.front();
    const Json& now = after.values.front();
    Effect effect = Effect::changed;
    std::string note;
    for (const Family& family : families()) {
      for (const std::string_view cause : family.causes) {
        if (!changed.contains(std::string(cause)) ||
            std::ranges::none_of(family.members,
                                 [&](auto member) { return is_member(name, member); })) {
          continue;
        }
        effect = Effect::expected;
        if (note.empty() && cause != name) note = fmt::format("follows from {}", cause);
        if (cause == name) note = "an upgrade does that";
      }
    }
    if (effect == Effect::changed && part == kLibraries) {
      const std::string build = build_of(old);
      note = !build.empty() && build == build_of(now)
                 ? "the same build, from another place"
                 : "nothing that it belongs to has another version";
    }
    if (name == "driver.version" || name == "toolkit.version" || name == "nccl.version") {
      const auto order = compare_versions(words(now), words(old));
      if (order && std::is_lt(*order)) note = "older than before";
    }
    if (const auto one = number_of(old), other = number_of(now); one && other) {
      const bool more = *other > *one;
      if (begins_with_any(before.name, kWorseIfMore))
        effect = more ? Effect::worse : Effect::better;
      if (begins_with_any(before.name, kWorseIfLess))
        effect = more ? Effect::better : Effect::worse;
    }
    if (name.starts_with("devices.pcie.")) {
      const auto one = parse_pcie(words(old));
      const auto other = parse_pcie(words(now));
      if (one && other && *one != *other) {
        const bool less = other->first < one->first || other->second < one->second;
        effect = less ? Effect::worse : Effect::better;
      }
    }
    const auto all = [](const std::vector<Json>& values) {
      std::string text;
      for (const Json& value : values) text += (text.empty() ? "" : " / ") + words(value);
      return text;
    };
    add(part, effect, name, all(before.values), all(after.values), note);
  }

  const Json& before_;
  const Json& after_;
  ReportedHost before_host_, after_host_;
  std::vector<Match> matches_;
  Names before_names_, after_names_;
  Comparison comparison_;
};

}  // namespace

bool Comparison::has(Effect effect) const {
  return std::ranges::find(differences, effect, &Difference::effect) != differences.end();
}

std::string Comparison::verdict() const {
  if (has(Effect::worse)) return "worse";
  return has(Effect::better) ? "better" : "same";
}

Comparison compare(const Json& before, const std::string& before_file, const Json& after,
                   const std::string& after_file) {
  return Comparer(before, before_file, after, after_file).run();
}

Comparison compare_jobs(const Json& before, const std::string& before_file, const Json& after,
                        const std::string& after_file) {
  if (!is_of_job(before) || !is_of_job(after)) {
    throw CannotRun(fmt::format(
        "{} is of one host and {} of the nodes of a job: compare the host with its own report, in "
        "the folder that was merged",
        is_of_job(before) ? after_file : before_file,
        is_of_job(before) ? before_file : after_file));
  }
  const std::map<std::string, Json> nodes = results_of_nodes(before);
  const std::map<std::string, Json> nodes_after = results_of_nodes(after);
  const auto side = [](const Json& results, const std::string& file) {
    const Json& run = results.at("run");
    return Comparison::Side{file, words(run.at("id")), words(run.at("level")),
                            words(results.at("verdict")), run.at("started").get<double>()};
  };
  Comparison all;
  all.before = side(before, before_file);
  all.after = side(after, after_file);
  all.simulated = after.at("simulated").get<bool>();
  for (const auto& [name, results] : nodes) {
    const auto now = nodes_after.find(name);
    if (now == nodes_after.end()) {
      all.differences.push_back({Effect::worse, "Nodes", name, "reported", "", "lost"});
      continue;
    }
    Comparison one = compare(results, fmt::format("{}: {}", before_file, name), now->second,
                             fmt::format("{}: {}", after_file, name));
    ++all.nodes;
    all.gpus += one.gpus;
    all.tests += one.tests;
    all.figures += one.figures;
    all.facts += one.facts;
    for (Difference& difference : one.differences) {
      difference.what = fmt::format("{}: {}", name, difference.what);
      all.differences.push_back(std::move(difference));
    }
  }
  if (all.nodes == 0) {
    throw CannotRun(fmt::format("no node is both in {} and in {}: nodes are known by their names",
                                before_file, after_file));
  }
  for (const auto& [name, results] : nodes_after) {
    if (!nodes.contains(name)) {
      all.differences.push_back({Effect::changed, "Nodes", name, "", "reported", "new"});
    }
  }
  // The job's own tests, and those of the ranks that all nodes had together.
  std::map<std::string, std::string> outcomes;
  const auto own = [](const Json& test) {
    return test.at("entry") == "job" || test.at("entry") == "ranks";
  };
  for (const Json& test : before.at("tests")) {
    if (own(test)) outcomes[words(test.at("name"))] = words(test.at("outcome"));
  }
  for (const Json& test : after.at("tests")) {
    const auto known = outcomes.find(words(test.at("name")));
    const std::string outcome = words(test.at("outcome"));
    if (!own(test) || known == outcomes.end() || known->second == outcome) continue;
    const bool worse = rank_of_outcome(outcome) < rank_of_outcome(known->second);
    all.differences.push_back({worse ? Effect::worse : Effect::better, "Nodes", known->first,
                               known->second, outcome, ""});
  }
  std::ranges::stable_sort(all.differences, {}, &Difference::effect);
  return all;
}

}  // namespace conformance::report
