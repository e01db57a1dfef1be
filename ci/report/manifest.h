#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace conformance::report {

/// The layers in the order in which a person would look, which is theirs as far as they do not need
/// each other.
inline constexpr std::array<std::string_view, 10> kLayerOrder{
    "environment", "driver", "runtime", "devices",   "memory",
    "peer",        "cublas", "nccl",    "toolchain", "frameworks"};

/// A CTest entry as the build lists it.
struct ListedEntry {
  std::string name, level;
  bool gate = false;
  std::vector<std::string> tests;  ///< full names in the order in which they run
};

/// A layer as the build lists it.
struct Manifest {
  std::string layer;
  std::vector<std::string> needs;  ///< layers whose gate must pass first
  std::vector<ListedEntry> entries;
};

/// The manifests of a folder, each layer after those it needs. A file that cannot be understood
/// becomes a warning. A folder that is not there holds none.
std::vector<Manifest> load_manifests(const std::filesystem::path& folder,
                                     std::vector<std::string>& warnings);

/// Orders layers so that each comes after those it needs, and otherwise from the driver upwards.
void order_by_need(std::vector<Manifest>& manifests, std::vector<std::string>& warnings);

}  // namespace conformance::report
