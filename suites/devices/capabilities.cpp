#include "suites/devices/capabilities.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <sstream>
#include <string_view>
#include <system_error>

#include <unistd.h>

#include <fmt/format.h>

#include "fixtures/host_facts.h"

namespace conformance::devices {
namespace {

namespace fs = std::filesystem;

std::optional<unsigned> to_number(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// The value of "DeviceFileMinor: 3" in a capability's file.
std::optional<unsigned> parse_minor(const std::string& text) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (word == "DeviceFileMinor:" && words >> word) return to_number(word);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::vector<Capability>> read_capabilities(const std::string& root) {
  const fs::path base = root + "/proc/driver/nvidia/capabilities";
  std::error_code error;
  std::vector<Capability> found;
  for (fs::recursive_directory_iterator entry(base, error), end; !error && entry != end;
       entry.increment(error)) {
    const Reading<std::string> text = read_text_file(entry->path().string(), 4096);
    const auto minor = text ? parse_minor(*text) : std::nullopt;
    if (minor) found.push_back({entry->path().lexically_relative(base).string(), *minor});
  }
  if (error) return std::nullopt;
  std::sort(found.begin(), found.end(),
            [](const Capability& a, const Capability& b) { return a.name < b.name; });
  return found;
}

std::optional<unsigned> capability_major(const std::string& root) {
  const Reading<std::string> text = read_text_file(root + "/proc/devices");
  std::istringstream words(text ? *text : "");
  for (std::string number, name; words >> number;) {
    // "Character devices:" and "Block devices:" are two words, too.
    if (words >> name && name == "nvidia-caps") return to_number(number);
  }
  return std::nullopt;
}

std::string node_path(const Capability& capability) {
  return fmt::format("/dev/nvidia-caps/nvidia-cap{}", capability.minor);
}

std::vector<std::string> gpus_without_usable_instance(const std::vector<Capability>& capabilities,
                                                      const std::string& root) {
  const auto may_open = [&root](const Capability& capability) {
    return ::access((root + node_path(capability)).c_str(), R_OK) == 0;
  };
  constexpr std::string_view kAccess = "/access";
  std::map<std::string, bool> usable;
  for (const Capability& instance : capabilities) {
    // gpu0/mig/gi1/access
    const std::size_t mig = instance.name.find("/mig/gi");
    if (mig == std::string::npos || !instance.name.starts_with("gpu") ||
        !instance.name.ends_with(kAccess) || instance.name.find("/ci") != std::string::npos) {
      continue;
    }
    bool& any = usable[instance.name.substr(0, mig)];
    // gpu0/mig/gi1/ci0/access
    const std::string inside =
        instance.name.substr(0, instance.name.size() - kAccess.size()) + "/ci";
    any = any ||
          (may_open(instance) &&
           std::any_of(capabilities.begin(), capabilities.end(), [&](const Capability& compute) {
             return compute.name.starts_with(inside) && compute.name.ends_with(kAccess) &&
                    may_open(compute);
           }));
  }
  std::vector<std::string> without;
  for (const auto& [gpu, any] : usable) {
    // A container sees its host's GPUs in /proc, but has the nodes of its own only.
    const bool given = ::access((root + "/dev/nvidia" + gpu.substr(3)).c_str(), R_OK | W_OK) == 0;
    if (given && !any) without.push_back(gpu);
  }
  return without;
}

}  // namespace conformance::devices
