#include "ci/report/policy.h"

#include <algorithm>
#include <compare>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ci/report/checked.h"
#include "ci/report/host.h"

namespace conformance::report {
namespace {

constexpr std::string_view kSchema = "cuda-conformance/policy";
constexpr int kSchemaVersion = 1;
constexpr std::uint64_t kMost = 1'000'000;  // of anything that is counted

/// The text of a member that may be missing.
std::string text_or_empty(const Checked& object, std::string_view key) {
  const std::optional<Checked> member = object.find(key);
  return member ? member->text() : "";
}

std::vector<std::string> texts(const Checked& list) {
  std::vector<std::string> texts;
  for (const Checked& item : list.items()) texts.push_back(item.text());
  return texts;
}

Policy::Range read_range(const Checked& object) {
  object.allow_only({"least", "most"});
  for (const char* key : {"least", "most"}) {
    if (const auto bound = object.find(key); bound && !compare_versions(bound->text(), "0")) {
      bound->fail("must be numbers with dots between them, such as \"580.65\"");
    }
  }
  Policy::Range range{text_or_empty(object, "least"), text_or_empty(object, "most")};
  if (range.least.empty() && range.most.empty()) object.fail("needs \"least\" or \"most\"");
  if (!range.least.empty() && !range.most.empty() &&
      std::is_gt(*compare_versions(range.least, range.most))) {
    object.fail("\"least\" is above \"most\"");
  }
  return range;
}

Policy::Bound read_bound(const Checked& object) {
  object.allow_only({"name", "unit", "least", "most", "subjects", "worst_seen"});
  Policy::Bound bound{object["name"].text(), object["unit"].text(), {}, {}, 1, {}};
  if (const auto least = object.find("least")) bound.least = least->number();
  if (const auto most = object.find("most")) bound.most = most->number();
  if (const auto seen = object.find("worst_seen")) bound.worst_seen = seen->number();
  if (const auto subjects = object.find("subjects")) bound.subjects = subjects->whole(1, kMost);
  if (!bound.least && !bound.most) object.fail("needs \"least\" or \"most\"");
  if (bound.least && bound.most && *bound.least > *bound.most) {
    object.fail("\"least\" is above \"most\"");
  }
  return bound;
}

/// Peers, links and paths name GPUs by their place, so their sizes must be right.
void read_matrices(const Checked& root, Policy& policy) {
  std::size_t gpus = 0;
  for (const Policy::Gpus& model : policy.gpus) gpus += model.count;
  const auto rows_of = [&](const Checked& matrix) {
    std::vector<Checked> rows = matrix.items();
    if (rows.size() != gpus) {
      matrix.fail(fmt::format("must have a row for each of the {} GPUs", gpus));
    }
    return rows;
  };
  if (const auto matrix = root.find("peer_access")) {
    for (const Checked& row : rows_of(*matrix)) {
      std::string cells = row.text();
      const std::size_t from = policy.access.size();
      const bool right = cells.size() == gpus && cells[from] == '-' &&
                         std::ranges::count(cells, '-') == 1 &&
                         cells.find_first_not_of("-01") == std::string::npos;
      if (!right) {
        row.fail(
            fmt::format("must be {} characters: \"-\" for GPU {} itself, \"1\" for a GPU whose "
                        "memory it must reach, \"0\" for others",
                        gpus, from));
      }
      policy.access.push_back(std::move(cells));
    }
  }
  if (const auto matrix = root.find("paths")) {
    for (const Checked& row : rows_of(*matrix)) {
      std::vector<std::string> cells = split(row.text(), " ");
      const std::size_t from = policy.paths.size();
      bool right = cells.size() == gpus;
      for (std::size_t to = 0; right && to < gpus; ++to) {
        right = to == from ? cells[to] == "-" : cells[to] == "?" || rank_of_path(cells[to]) > 0;
      }
      if (!right) {
        row.fail(
            fmt::format("must be {} words with spaces between them: \"-\" for GPU {} itself, "
                        "else NV18 (or another number), PIX, PXB, PHB, NODE, SYS, or ? for "
                        "any",
                        gpus, from));
      }
      policy.paths.push_back(std::move(cells));
    }
  }
  if (const auto links = root.find("nvlinks")) {
    for (const Checked& row : rows_of(*links)) policy.nvlinks.push_back(row.whole(0, kMost));
  }
}

Policy read_policy(const Json& json, const std::string& file) {
  const Checked root(json, file);
  root.allow_only({"$schema", "schema", "schema_version", "note", "simulated", "level", "gpus",
                   "peer_access", "paths", "nvlinks", "driver", "toolkit", "nccl_settings",
                   "figures", "skips", "tests"});
  Policy policy;
  policy.file = file;
  policy.note = text_or_empty(root, "note");
  policy.simulated = root["simulated"].boolean();
  if (const auto level = root.find("level")) {
    policy.level = level->text();
    if (rank_of_level(policy.level) < 0) level->fail("must be quick, standard or stress");
  }
  if (const auto gpus = root.find("gpus")) {
    for (const Checked& item : gpus->items()) {
      item.allow_only({"model", "count"});
      policy.gpus.push_back({item["model"].text(), item["count"].whole(1, 4096)});
    }
  }
  read_matrices(root, policy);
  if (const auto range = root.find("driver")) policy.driver = read_range(*range);
  if (const auto range = root.find("toolkit")) policy.toolkit = read_range(*range);
  if (const auto settings = root.find("nccl_settings")) policy.nccl_settings = texts(*settings);
  if (const auto figures = root.find("figures")) {
    for (const Checked& item : figures->items()) policy.figures.push_back(read_bound(item));
  }
  if (const auto skips = root.find("skips")) {
    for (const Checked& item : skips->items()) {
      item.allow_only({"test", "reason"});
      policy.skips.push_back({item["test"].text(), item["reason"].text()});
    }
  }
  if (const auto tests = root.find("tests")) policy.tests = texts(*tests);
  if (policy.gpus.empty() && policy.figures.empty() && policy.tests.empty()) {
    root.fail("expects nothing: it needs \"gpus\", \"figures\" or \"tests\"");
  }
  return policy;
}

Json range_json(const Policy::Range& range) {
  Json json = Json::object();
  if (!range.least.empty()) json["least"] = range.least;
  if (!range.most.empty()) json["most"] = range.most;
  return json;
}

}  // namespace

int rank_of_level(std::string_view level) {
  return level == "quick" ? 0 : level == "standard" ? 1 : level == "stress" ? 2 : -1;
}

Policy load_policy(const std::filesystem::path& path) {
  return read_policy(load_json(path, kSchema, kSchemaVersion), path.native());
}

Json to_json(const Policy& policy) {
  Json json{{"schema", kSchema}, {"schema_version", kSchemaVersion}};
  if (!policy.note.empty()) json["note"] = policy.note;
  json["simulated"] = policy.simulated;
  if (!policy.level.empty()) json["level"] = policy.level;
  for (const Policy::Gpus& gpus : policy.gpus) {
    json["gpus"].push_back({{"model", gpus.model}, {"count", gpus.count}});
  }
  if (!policy.access.empty()) json["peer_access"] = policy.access;
  for (const std::vector<std::string>& row : policy.paths) {
    json["paths"].push_back(fmt::format("{}", fmt::join(row, " ")));
  }
  if (!policy.nvlinks.empty()) json["nvlinks"] = policy.nvlinks;
  if (const Json range = range_json(policy.driver); !range.empty()) json["driver"] = range;
  if (const Json range = range_json(policy.toolkit); !range.empty()) json["toolkit"] = range;
  if (policy.nccl_settings) json["nccl_settings"] = *policy.nccl_settings;
  for (const Policy::Bound& bound : policy.figures) {
    Json& item = json["figures"].emplace_back(Json{{"name", bound.name}, {"unit", bound.unit}});
    if (bound.least) item["least"] = *bound.least;
    if (bound.most) item["most"] = *bound.most;
    item["subjects"] = bound.subjects;
    if (bound.worst_seen) item["worst_seen"] = *bound.worst_seen;
  }
  for (const Policy::Skip& skip : policy.skips) {
    json["skips"].push_back({{"test", skip.test}, {"reason", skip.reason}});
  }
  if (!policy.tests.empty()) json["tests"] = policy.tests;
  return json;
}

}  // namespace conformance::report
