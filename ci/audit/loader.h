#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace conformance::audit {

/// Where the dynamic loader looks for a library, beside where the files that need it say. ld.so(8).
struct LoaderPlaces {
  std::vector<std::string> library_path;     ///< LD_LIBRARY_PATH
  std::map<std::string, std::string> cache;  ///< /etc/ld.so.cache: a name and its file
  std::vector<std::string> defaults;
  std::string lib = "lib";  ///< what $LIB stands for
};
/// Those of this process: its own loader is asked.
LoaderPlaces loader_places();
/// The libraries for this machine in a cache of the loader; none in what is no such file.
std::map<std::string, std::string> parse_loader_cache(std::string_view bytes);

/// A library that a file, or a library that it needs, asks for.
struct NeededLibrary {
  std::string name;
  std::string path;       ///< empty if the loader finds none
  std::string how;        ///< "RUNPATH of libcublas.so.13", "LD_LIBRARY_PATH", "ld.so.cache", …
  std::string wanted_by;  ///< the first file that asks for it
};

/// Follows what files need as the dynamic loader does. Each file is read once; threads may share
/// it.
class Loader {
 public:
  explicit Loader(LoaderPlaces places) : places_(std::move(places)) {}

  /// Everything that the loader would load for a file, in its order.
  std::vector<NeededLibrary> load(const std::string& path);

 private:
  /// What a file says of the libraries it needs.
  struct Links {
    std::vector<std::string> needed;
    std::string soname, rpath, runpath, interpreter;
  };
  struct Object;

  /// Nothing for what the loader passes over: no file, or one for another machine.
  std::optional<Links> links(const std::string& path);
  /// The file that it takes for a name; empty for none.
  NeededLibrary find(const std::string& name, const Object& wanted_by, const LoaderPlaces& places);

  LoaderPlaces places_;
  std::mutex mutex_;
  std::map<std::string, std::optional<Links>> known_;
};

}  // namespace conformance::audit
