#include "ci/audit/loader.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <set>
#include <sstream>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "fixtures/byte_source.h"
#include "fixtures/child.h"
#include "fixtures/elf.h"
#include "fixtures/host_facts.h"
#include "fixtures/library.h"

namespace conformance::audit {
namespace {

namespace fs = std::filesystem;

// glibc, sysdeps/generic/dl-cache.h: the layout since glibc 2.2.
constexpr std::string_view kCacheMagic = "glibc-ld.so.cache1.1";
struct CacheHeader {
  char magic[kCacheMagic.size()];
  std::uint32_t entries, strings_size;
  std::uint8_t flags, padding[3];
  std::uint32_t extension_offset, unused[3];
};
struct CacheEntry {
  std::uint32_t flags, name, path, os_version;
  std::uint64_t capabilities;  ///< of the processor that it is for; 0 for any
};
constexpr std::uint32_t kForThisMachine =
#if defined(__x86_64__)
    0x0303;
#else
    0x0a03;
#endif

std::string folder_of(const std::string& path) { return fs::path(path).parent_path().string(); }
std::string file_name(const std::string& path) { return fs::path(path).filename().string(); }

void replace_all(std::string& text, std::string_view name, std::string_view value) {
  for (std::size_t at = text.find(name); at != std::string::npos;
       at = text.find(name, at + value.size())) {
    text.replace(at, name.size(), value);
  }
}

/// With $ORIGIN and $LIB for what they stand for. ld.so(8): Dynamic string tokens.
std::string expanded(std::string text, const std::string& file, const LoaderPlaces& places) {
  for (const auto& [name, value] :
       {std::pair<std::string, std::string>{"ORIGIN", folder_of(fs::absolute(file).string())},
        {"LIB", places.lib}}) {
    replace_all(text, "${" + name + "}", value);
    replace_all(text, "$" + name, value);
  }
  return text;
}

/// The text between quotes at the end of the line that starts with `name`:
/// "path.sysconfdir="/etc"".
std::vector<std::string> diagnosed(const std::string& diagnostics, std::string_view name) {
  std::vector<std::string> values;
  std::istringstream lines(diagnostics);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t quote = line.find("=\"");
    if (!line.starts_with(name) || quote == std::string::npos || !line.ends_with('"')) continue;
    values.push_back(line.substr(quote + 2, line.size() - quote - 3));
  }
  return values;
}

/// A program of the Nix store has a loader with places of its own: no cache, and the libraries
/// beside the loader.
std::optional<LoaderPlaces> places_of_nix(const std::string& interpreter, const LoaderPlaces& own) {
  static constexpr std::string_view kStore = "/nix/store/";
  if (!interpreter.starts_with(kStore)) return std::nullopt;
  LoaderPlaces places = own;
  places.cache.clear();
  places.defaults = {folder_of(interpreter)};
  return places;
}

}  // namespace

std::map<std::string, std::string> parse_loader_cache(std::string_view bytes) {
  // An old cache may come first.
  const std::size_t start = bytes.find(kCacheMagic);
  if (start == std::string_view::npos || bytes.size() - start < sizeof(CacheHeader)) return {};
  bytes.remove_prefix(start);
  CacheHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.entries > (bytes.size() - sizeof(header)) / sizeof(CacheEntry)) return {};
  const auto text = [bytes](std::uint32_t offset) {
    if (offset >= bytes.size()) return std::string();
    return std::string(bytes.substr(offset, bytes.find('\0', offset) - offset));
  };
  std::map<std::string, std::string> libraries;
  for (std::size_t i = 0; i < header.entries; ++i) {
    CacheEntry entry;
    std::memcpy(&entry, bytes.data() + sizeof(header) + i * sizeof(entry), sizeof(entry));
    if (entry.flags != kForThisMachine || entry.capabilities != 0) continue;
    libraries.try_emplace(text(entry.name), text(entry.path));
  }
  return libraries;
}

LoaderPlaces loader_places() {
  LoaderPlaces places;
  const char* path = std::getenv("LD_LIBRARY_PATH");
  places.library_path = library_path_directories(path != nullptr ? path : "");
  ChildOptions options;
  std::string folder = "/etc";
  try {
    const ElfReading own = read_elf_links(ByteSource(own_executable()));
    if (own.elf && !own.elf->interpreter.empty()) {
      options.argv = {own.elf->interpreter, "--list-diagnostics"};
      const std::string said = run_child(options).output;  // nothing, before glibc 2.33
      places.defaults = diagnosed(said, "path.system_dirs[");
      for (const std::string& value : diagnosed(said, "path.sysconfdir")) folder = value;
      for (const std::string& value : diagnosed(said, "dl_dst_lib")) places.lib = value;
    }
  } catch (const Malformed&) {
  }
  if (places.defaults.empty()) places.defaults = {"/lib64", "/usr/lib64", "/lib", "/usr/lib"};
  if (const Reading<std::string> cache = read_text_file(folder + "/ld.so.cache", 64 << 20)) {
    places.cache = parse_loader_cache(*cache);
  }
  return places;
}

/// What is loaded, and by whom.
struct Loader::Object {
  std::string path;
  Links links;
  const Object* loaded_by = nullptr;
};

std::optional<Loader::Links> Loader::links(const std::string& path) {
  std::error_code error;
  const std::string key = fs::absolute(path, error).string();
  const std::lock_guard lock(mutex_);
  const auto known = known_.find(key);
  if (known != known_.end()) return known->second;
  std::optional<Links> links;
  try {
    // Opening a device may do something.
    if (!fs::is_regular_file(path, error)) throw Malformed("it is no file");
    if (ElfReading read = read_elf_links(ByteSource(path)); read.elf && read.elf->loadable_here()) {
      links = {std::move(read.elf->needed), std::move(read.elf->soname), std::move(read.elf->rpath),
               std::move(read.elf->runpath), std::move(read.elf->interpreter)};
    }
  } catch (const Malformed&) {
  }
  return known_.emplace(key, std::move(links)).first->second;
}

NeededLibrary Loader::find(const std::string& name, const Object& wanted_by,
                           const LoaderPlaces& places) {
  NeededLibrary library{name, "", "", file_name(wanted_by.path)};
  const auto take = [&](const std::string& path, const std::string& how) {
    if (!links(path)) return false;
    library.path = path;
    library.how = how;
    return true;
  };
  const auto look_in = [&](const std::vector<std::string>& folders, const std::string& how) {
    for (const std::string& folder : folders) {
      if (take((fs::path(folder) / name).string(), how)) return true;
    }
    return false;
  };
  const auto listed = [&](const std::string& list, const Object& by) {
    return library_path_directories(expanded(list, by.path, places));
  };
  if (name.find('/') != std::string::npos) {
    take(expanded(name, wanted_by.path, places), "its full path");
    return library;
  }
  if (wanted_by.links.runpath.empty()) {
    for (const Object* by = &wanted_by; by != nullptr; by = by->loaded_by) {
      if (by->links.runpath.empty() &&
          look_in(listed(by->links.rpath, *by), "RPATH of " + file_name(by->path))) {
        return library;
      }
    }
  }
  if (look_in(places.library_path, "LD_LIBRARY_PATH") ||
      look_in(listed(wanted_by.links.runpath, wanted_by),
              "RUNPATH of " + file_name(wanted_by.path))) {
    return library;
  }
  const auto cached = places.cache.find(name);
  if (cached != places.cache.end() && take(cached->second, "ld.so.cache")) return library;
  look_in(places.defaults, "a default directory");
  return library;
}

std::vector<NeededLibrary> Loader::load(const std::string& path) {
  std::vector<NeededLibrary> libraries;
  const std::optional<Links> root = links(path);
  if (!root) return libraries;
  const std::optional<LoaderPlaces> of_nix = places_of_nix(root->interpreter, places_);
  std::deque<Object> objects{{path, *root, nullptr}};  // which keeps its elements where they are
  std::set<std::string> loaded;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    const std::vector<std::string> names = objects[i].links.needed;
    for (const std::string& name : names) {
      if (!loaded.insert(name).second) continue;
      NeededLibrary library = find(name, objects[i], of_nix ? *of_nix : places_);
      if (const auto found = library.path.empty() ? std::nullopt : links(library.path)) {
        if (!found->soname.empty()) loaded.insert(found->soname);
        objects.push_back({library.path, *found, &objects[i]});
      }
      libraries.push_back(std::move(library));
    }
  }
  return libraries;
}

}  // namespace conformance::audit
