#include "ci/report/manifest.h"

#include <algorithm>
#include <array>
#include <set>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ci/report/folder.h"

namespace conformance::report {
namespace {

using Json = nlohmann::json;

std::pair<std::size_t, std::string> usual_place(const Manifest& manifest) {
  const auto place = std::ranges::find(kLayerOrder, manifest.layer);
  return {static_cast<std::size_t>(place - kLayerOrder.begin()), manifest.layer};
}

Manifest parse(const std::string& text) {
  const Json json = Json::parse(text);
  if (json.at("manifest_version") != 1) throw CannotRun("it is of another version");
  Manifest manifest;
  manifest.layer = json.at("layer").get<std::string>();
  manifest.needs = json.at("requires").get<std::vector<std::string>>();
  for (const Json& item : json.at("entries")) {
    manifest.entries.push_back({item.at("name").get<std::string>(),
                                item.at("level").get<std::string>(), item.at("gate").get<bool>(),
                                item.at("tests").get<std::vector<std::string>>()});
  }
  // The gate runs first, so its findings come first.
  std::ranges::stable_sort(manifest.entries, std::ranges::greater(), &ListedEntry::gate);
  return manifest;
}

}  // namespace

std::vector<Manifest> load_manifests(const std::filesystem::path& folder,
                                     std::vector<std::string>& warnings) {
  std::vector<Manifest> manifests;
  std::error_code error;
  for (std::filesystem::directory_iterator item(folder, error), end; !error && item != end;
       item.increment(error)) {
    if (item->path().extension() != ".json") continue;
    try {
      manifests.push_back(parse(read_file(item->path())));
    } catch (const std::exception& problem) {
      warnings.push_back(
          fmt::format("{}: not understood: {}", item->path().native(), problem.what()));
    }
  }
  order_by_need(manifests, warnings);
  return manifests;
}

void order_by_need(std::vector<Manifest>& manifests, std::vector<std::string>& warnings) {
  std::ranges::sort(manifests, {}, usual_place);
  std::set<std::string> open;
  for (const Manifest& manifest : manifests) open.insert(manifest.layer);
  std::vector<Manifest> ordered;
  while (!manifests.empty()) {
    auto next = std::ranges::find_if(manifests, [&](const Manifest& manifest) {
      return std::ranges::none_of(manifest.needs, [&](const std::string& layer) {
        return layer != manifest.layer && open.contains(layer);
      });
    });
    if (next == manifests.end()) {
      next = manifests.begin();
      warnings.push_back(
          fmt::format("the layers need each other in a circle, from {} on", next->layer));
    }
    open.erase(next->layer);
    ordered.push_back(std::move(*next));
    manifests.erase(next);
  }
  manifests = std::move(ordered);
}

}  // namespace conformance::report
