#include "suites/devices/container_specs.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <system_error>

#include "fixtures/host_facts.h"

namespace conformance::devices {
namespace {

namespace fs = std::filesystem;

/// The value of `"key": "value"` or `key: value`, of which `text` is what follows the key; nothing
/// if the key is only the end of another or of a text.
std::string_view value_after_key(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  if (text.starts_with('"')) text.remove_prefix(1);
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(kBlanks)));
  if (!text.starts_with(':')) return {};
  text.remove_prefix(1);
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(kBlanks)));
  const bool quoted = text.starts_with('"') || text.starts_with('\'');
  const std::string_view end = quoted ? text.substr(0, 1) : std::string_view(",}\r\n");
  if (quoted) text.remove_prefix(1);
  std::string_view value = text.substr(0, text.find_first_of(end));
  while (!value.empty() && kBlanks.find(value.back()) != std::string_view::npos) {
    value.remove_suffix(1);
  }
  return value;
}

void collect(std::string_view spec, std::string_view key, std::string_view beginning,
             std::vector<std::string>& out) {
  for (std::size_t at = spec.find(key); at != std::string_view::npos;
       at = spec.find(key, at + key.size())) {
    const bool whole = at == 0 || std::isalnum(static_cast<unsigned char>(spec[at - 1])) == 0;
    const std::string_view value = value_after_key(spec.substr(at + key.size()));
    if (whole && value.starts_with(beginning)) out.emplace_back(value);
  }
}

}  // namespace

std::vector<std::string> container_specs(const std::string& root) {
  std::vector<std::string> specs;
  for (const char* folder : {"/etc/cdi", "/var/run/cdi"}) {
    std::error_code error;
    for (fs::directory_iterator entry(root + folder, error), end; !error && entry != end;
         entry.increment(error)) {
      const std::string extension = entry->path().extension();
      if (extension != ".json" && extension != ".yaml" && extension != ".yml") continue;
      const Reading<std::string> text = read_text_file(entry->path());
      if (text && text->find("nvidia.com/") != std::string::npos) specs.push_back(entry->path());
    }
  }
  std::sort(specs.begin(), specs.end());
  return specs;
}

std::vector<std::string> host_paths(std::string_view spec) {
  std::vector<std::string> paths;
  collect(spec, "hostPath", "/", paths);
  collect(spec, "path", "/dev/nvidia", paths);
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  return paths;
}

}  // namespace conformance::devices
