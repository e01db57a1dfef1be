#include "ci/audit/examine.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <set>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include <elf.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <fmt/format.h>

#include "ci/audit/archive.h"
#include "fixtures/compatibility.h"
#include "fixtures/elf.h"

namespace conformance::audit {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDriverLibrary = "libcuda.so.1";
constexpr std::string_view kRuntimeLibrary = "libcudart.so";

/// The number after ".so.": 13 for "libcudart.so.13" and "libcudart.so.13.0".
std::optional<int> library_major(std::string_view name) {
  const std::size_t at = name.find(".so.");
  if (at == std::string_view::npos) return std::nullopt;
  name.remove_prefix(at + 4);
  int major = 0;
  const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), major);
  return error == std::errc() ? std::optional(major) : std::nullopt;
}

/// Whether a section has `text` in it; read piece by piece.
bool contains(const ByteSource& source, const ElfSection& section, std::string_view text) {
  constexpr std::uint64_t kPiece = 1 << 20;
  for (std::uint64_t at = 0; at + text.size() <= section.size; at += kPiece) {
    // Each piece reaches a little into the next, for what lies across the border.
    const std::uint64_t size = std::min(kPiece + text.size() - 1, section.size - at);
    const std::vector<std::byte> piece = source.bytes(section.offset + at, size);
    if (::memmem(piece.data(), piece.size(), text.data(), text.size()) != nullptr) return true;
  }
  return false;
}

/// Whether the CUDA runtime itself is part of a program or library. Once symbols are stripped its
/// texts tell: the names of its errors, what they mean, and the library that it opens.
bool has_runtime_linked_in(const ByteSource& source) {
  // Put together here, so that this program does not hold them.
  static const std::array<std::string, 3> kSigns{
      fmt::format("cudaErrorCudart{}", "Unloading"),
      fmt::format("no CUDA-capable device is {}", "detected"), std::string(kDriverLibrary)};
  std::array<bool, kSigns.size()> seen{};
  for (const ElfSection& section : elf_sections(source)) {
    if (section.name != ".rodata" && section.name != ".lrodata") continue;
    for (std::size_t i = 0; i < kSigns.size(); ++i) {
      seen[i] = seen[i] || contains(source, section, kSigns[i]);
    }
  }
  return std::all_of(seen.begin(), seen.end(), [](bool sign) { return sign; });
}

/// The newest PTX in a file: its compiler wrote that or newer.
std::optional<PtxVersion> newest_ptx(const std::vector<DeviceModule>& modules) {
  std::optional<PtxVersion> newest;
  for (const DeviceModule& module : modules) {
    for (const DeviceCode& code : module) {
      if (code.kind != DeviceCode::Kind::ptx) continue;
      newest = std::max(newest, std::optional(PtxVersion{code.ptx_major, code.ptx_minor}));
    }
  }
  return newest;
}

/// The newest PTX that has to be compiled for a GPU: of each module that has nothing better, the
/// oldest that will do.
std::optional<PtxVersion> ptx_to_compile(const std::vector<DeviceModule>& modules,
                                         ComputeCapability gpu) {
  std::optional<PtxVersion> newest;
  for (const DeviceModule& module : modules) {
    if (coverage(module, gpu) != Coverage::ptx) continue;
    std::optional<PtxVersion> oldest;
    for (const DeviceCode& code : module) {
      if (coverage(code, gpu) != Coverage::ptx) continue;
      const PtxVersion version{code.ptx_major, code.ptx_minor};
      oldest = oldest ? std::min(*oldest, version) : version;
    }
    newest = std::max(newest, oldest);
  }
  return newest;
}

std::string how_to_build_for(ComputeCapability gpu) {
  const int number = 10 * gpu.major + gpu.minor;
  return fmt::format(
      "build it for sm_{0} too: nvcc -gencode arch=compute_{0},code=sm_{0}, "
      "CMAKE_CUDA_ARCHITECTURES={0}, TORCH_CUDA_ARCH_LIST={1}; or take a release of it that has "
      "sm_{0}",
      number, gpu.text());
}

void judge_code(const std::vector<DeviceModule>& modules, const Host& host, Examined& examined) {
  for (const Target& target : host.targets) {
    Cover cover{target.name, Coverage::missing, {}};
    for (const DeviceModule& module : modules) {
      const Coverage how = coverage(module, target.capability);
      ++cover.modules[how];
      cover.best = std::max(cover.best, how);
    }
    // A library may bring modules for one architecture each, so that one that suits is enough.
    if (cover.best == Coverage::missing) {
      examined.problems.push_back({true, fmt::format("it carries no code for {}", target.name),
                                   how_to_build_for(target.capability)});
    }
    const auto ptx = ptx_to_compile(modules, target.capability);
    const auto release = ptx ? release_of(*ptx) : std::nullopt;
    if (host.driver && release &&
        ToolkitVersion{host.driver->major, host.driver->minor} < *release) {
      examined.problems.push_back(
          {cover.best == Coverage::ptx,
           fmt::format("{} must compile PTX {}, which drivers of CUDA {} and newer do; this one is "
                       "of CUDA {}",
                       target.name, ptx->text(), release->text(), host.driver->text()),
           fmt::format("update the driver, or {}", how_to_build_for(target.capability))});
    }
    examined.covers.push_back(std::move(cover));
  }
}

void judge_driver(const std::vector<DeviceModule>& modules, const Host& host, Examined& examined) {
  std::optional<ToolkitVersion> toolkit;
  for (const NeededLibrary& library : examined.libraries) {
    if (!library.name.starts_with(kRuntimeLibrary)) continue;
    const auto major = library_major(library.name);
    if (major) toolkit = std::max(toolkit, std::optional(ToolkitVersion{*major, 0}));
  }
  if (const auto ptx = newest_ptx(modules); !toolkit && ptx) toolkit = release_of(*ptx);
  if (!toolkit) return;
  const auto driver = oldest_driver_for(*toolkit);
  examined.needed_driver =
      fmt::format("{} (CUDA {}.0)", driver ? driver->text : "one", toolkit->major);
  if (host.driver && !driver_supports(*host.driver, *toolkit)) {
    examined.problems.push_back(
        {true,
         fmt::format("it needs a driver of CUDA {}.0 or newer; this one is of CUDA {}",
                     toolkit->major, host.driver->text()),
         fmt::format("update the driver to {} or newer, or, on data-center GPUs, install "
                     "cuda-compat-{}-{}",
                     examined.needed_driver, toolkit->major, toolkit->minor)});
  }
}

void judge_libraries(bool program, const Host& host, Examined& examined) {
  std::map<std::string, const NeededLibrary*> first;
  std::string missing;
  for (const NeededLibrary& library : examined.libraries) {
    const bool of_driver = library.name == kDriverLibrary;
    if (library.path.empty() && of_driver && !host.driver) {
      continue;  // it is the driver's, on the host that is to run it
    }
    if (library.path.empty()) {
      missing += fmt::format("{}{}", missing.empty() ? "" : ", ", library.name);
      continue;
    }
    if (of_driver && library.path.find("/stubs/") != std::string::npos) {
      examined.problems.push_back(
          {true, fmt::format("{} is the toolkit's stub, by {}", library.path, library.how),
           "take the folder of stubs out of where the loader looks: it is to be linked against"});
    }
    const std::string stem = library.name.substr(0, library.name.find(".so"));
    const auto [known, added] = first.try_emplace(stem, &library);
    if (!added && is_cuda_library(library.name)) {
      examined.problems.push_back(
          {false,
           fmt::format("it gets both {} (for {}) and {} (for {})", known->second->name,
                       known->second->wanted_by, library.name, library.wanted_by),
           "build or install what it needs for one release of CUDA"});
    }
  }
  if (missing.empty()) return;
  examined.problems.push_back(
      {program,
       fmt::format("the loader does not find {}{}", missing,
                   program ? "" : ": it can be used only where these are loaded already"),
       "install what is missing, or name its folder in LD_LIBRARY_PATH or in the RUNPATH"});
}

/// Adds a part's modules to those of its file; throws Malformed.
void add_modules(const ByteSource& source, std::vector<DeviceModule>& modules) {
  DeviceCodeReading read = read_device_code(source);
  if (!read.error.empty()) throw Malformed(read.error);
  std::move(read.modules.begin(), read.modules.end(), std::back_inserter(modules));
}

void examine_elf(const std::string& path, const ByteSource& source, const Host& host,
                 Loader& loader, Examined& examined) {
  if (const std::string missing = missing_part(path); !missing.empty()) throw Malformed(missing);
  const ElfReading read = read_elf_links(source);
  if (!read.elf) throw Malformed(read.error);
  const Elf& elf = *read.elf;
  const bool program = !elf.interpreter.empty();
  examined.kind = program ? "program" : elf.describe();
  std::vector<DeviceModule> modules;
  if (elf.machine == EM_CUDA) {
    examined.kind = "machine code for a GPU";
  } else if (!elf.is_64 || !elf.little_endian) {
    return;  // nothing of CUDA is for such machines any more
  } else if (elf.type == ET_DYN || elf.type == ET_EXEC) {
    for (NeededLibrary& library : loader.load(path)) {
      // A program does not start without any of them.
      if (is_cuda_library(library.name) || (program && library.path.empty())) {
        examined.libraries.push_back(std::move(library));
      }
    }
    const bool shared = std::any_of(elf.needed.begin(), elf.needed.end(), [](const auto& name) {
      return name.starts_with(kRuntimeLibrary);
    });
    if (shared) {
      examined.runtime = Runtime::shared;
    } else if (!elf.soname.starts_with(kRuntimeLibrary) && has_runtime_linked_in(source)) {
      examined.runtime = Runtime::linked_in;
    }
  }
  add_modules(source, modules);
  judge(std::move(modules), program, host, examined);
}

void examine_archive(const ByteSource& source, const Host& host, Examined& examined) {
  examined.kind = "static library";
  std::vector<DeviceModule> modules;
  for (const Member& member : archive_members(source)) {
    try {
      if (is_elf(member.bytes)) add_modules(member.bytes, modules);
    } catch (const Malformed& error) {
      throw Malformed(fmt::format("{}: {}", member.name, error.what()));
    }
  }
  judge(std::move(modules), false, host, examined);
}

/// File systems without files: reading there may wait, or do something.
bool is_of_the_kernel(const std::string& folder) {
  struct statfs system {};
  if (::statfs(folder.c_str(), &system) != 0) return false;
  static constexpr std::array<long, 6> kKinds{PROC_SUPER_MAGIC,    SYSFS_MAGIC,
                                              CGROUP2_SUPER_MAGIC, CGROUP_SUPER_MAGIC,
                                              DEBUGFS_MAGIC,       TRACEFS_MAGIC};
  return std::find(kKinds.begin(), kKinds.end(), system.f_type) != kKinds.end();
}

/// What a file is examined as, or why it cannot be.
std::optional<Examined> examine_or_say(const std::string& path, bool named, const Host& host,
                                       Loader& loader) {
  Examined examined;
  examined.path = path;
  try {
    if (auto result = examine(path, host, loader)) return result;
    if (!named) return std::nullopt;
    examined.error = "it is no program or library, and no code for GPUs";
  } catch (const Malformed& error) {
    examined.error = error.what();
  }
  return examined;
}

}  // namespace

bool Examined::fatal() const {
  return std::any_of(problems.begin(), problems.end(),
                     [](const Problem& problem) { return problem.fatal; });
}

bool is_cuda_library(std::string_view name) {
  static constexpr std::array<std::string_view, 17> kBeginnings{
      "libcuda.",    "libcudart.", "libcublas",    "libcufft",   "libcurand",   "libcusolver",
      "libcusparse", "libcudnn",   "libcupti",     "libcufile",  "libcutensor", "libcudss",
      "libnccl",     "libnvrtc",   "libnvJitLink", "libnvshmem", "libnvidia-"};
  return std::any_of(kBeginnings.begin(), kBeginnings.end(),
                     [name](std::string_view start) { return name.starts_with(start); });
}

void judge(std::vector<DeviceModule> modules, bool program, const Host& host, Examined& examined) {
  std::erase_if(modules, [](const DeviceModule& module) { return !may_hold_kernels(module); });
  examined.modules = modules.size();
  for (const DeviceModule& module : modules) {
    for (const DeviceCode& code : module) {
      std::string name = code.name();
      if (code.kind == DeviceCode::Kind::ptx) {
        name += fmt::format(" (PTX {}.{})", code.ptx_major, code.ptx_minor);
      }
      ++examined.code[name];
    }
  }
  if (!modules.empty()) judge_code(modules, host, examined);
  judge_driver(modules, host, examined);
  judge_libraries(program, host, examined);
}

std::optional<Examined> examine(const std::string& path, const Host& host, Loader& loader) {
  const ByteSource source(path);
  Examined examined;
  examined.path = path;
  examined.bytes = source.size();
  if (is_elf(source)) {
    examine_elf(path, source, host, loader, examined);
    return examined;
  }
  if (is_archive(source)) {
    examine_archive(source, host, examined);
    return examined;
  }
  constexpr std::uint32_t kFatBinary = 0xba55ed50;
  const bool fat =
      source.size() >= sizeof(kFatBinary) && source.object<std::uint32_t>(0) == kFatBinary;
  if (!fat && fs::path(path).extension() != ".ptx") return std::nullopt;
  examined.kind = fat ? "fat binary" : "PTX";
  std::vector<DeviceModule> modules;
  add_modules(source, modules);
  judge(std::move(modules), false, host, examined);
  return examined;
}

FolderListing list_files(const std::string& folder) {
  FolderListing listing;
  std::set<std::pair<dev_t, ino_t>> seen;
  std::vector<std::string> folders{folder};
  while (!folders.empty()) {
    const std::string current = std::move(folders.back());
    folders.pop_back();
    if (is_of_the_kernel(current)) continue;
    std::error_code error;
    for (fs::directory_iterator item(current, error), end; !error && item != end;
         item.increment(error)) {
      struct stat status {};
      const std::string path = item->path().string();
      if (::lstat(path.c_str(), &status) != 0) continue;  // it has gone
      if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) continue;
      if (!seen.insert({status.st_dev, status.st_ino}).second) continue;
      (S_ISDIR(status.st_mode) ? folders : listing.files).push_back(path);
    }
    if (error) listing.unread.push_back({current, error.message()});
  }
  return listing;
}

int Audit::exit_code() const {
  int code = files.empty() ? 2 : 0;
  bool any = false;
  for (const Examined& file : files) {
    if (!file.error.empty()) return 2;
    any = any || file.concerns_cuda();
    if (file.fatal()) code = 1;
  }
  return any ? code : 2;  // nothing looked at is nothing proven
}

Audit audit(const std::vector<std::string>& paths, const Host& host, Loader& loader) {
  const auto start = std::chrono::steady_clock::now();
  Audit audit;
  std::vector<std::pair<std::string, bool>> files;  // and whether it was named
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      files.emplace_back(path, true);
      continue;
    }
    FolderListing listing = list_files(path);
    for (std::string& file : listing.files) files.emplace_back(std::move(file), false);
    for (auto& [folder, why] : listing.unread) {
      Examined unread;
      unread.path = std::move(folder);
      unread.error = std::move(why);
      audit.files.push_back(std::move(unread));
    }
  }
  audit.looked_at = files.size();

  std::vector<std::optional<Examined>> results(files.size());
  std::atomic<std::size_t> next{0};
  {
    constexpr std::size_t kAtOnce = 8;
    const std::size_t threads = std::min<std::size_t>(
        {kAtOnce, std::max(1U, std::thread::hardware_concurrency()), files.size()});
    std::vector<std::jthread> workers;
    for (std::size_t i = 0; i < threads; ++i) {
      workers.emplace_back([&] {
        for (std::size_t at = next++; at < files.size(); at = next++) {
          auto result = examine_or_say(files[at].first, files[at].second, host, loader);
          const bool told =
              result && (files[at].second || result->concerns_cuda() || !result->error.empty());
          if (told) results[at] = std::move(result);
        }
      });
    }
  }
  for (std::optional<Examined>& result : results) {
    if (result) audit.files.push_back(std::move(*result));
  }
  std::stable_sort(
      audit.files.begin(), audit.files.end(),
      [](const Examined& one, const Examined& other) { return one.path < other.path; });
  audit.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return audit;
}

}  // namespace conformance::audit
