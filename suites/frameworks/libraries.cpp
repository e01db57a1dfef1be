#include "suites/frameworks/libraries.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>
#include <system_error>

#include <fmt/format.h>

#include "fixtures/compatibility.h"
#include "fixtures/library.h"
#include "fixtures/toolkit.h"

namespace conformance::frameworks {
namespace {

namespace fs = std::filesystem;

std::string real(const fs::path& path) {
  std::error_code error;
  return fs::canonical(path, error).string();
}

std::string file_name(const std::string& path) { return fs::path(path).filename().string(); }

std::string setting(const Record& record, const std::string& variable) {
  const auto found = record.environment.find(variable);
  return found != record.environment.end() ? found->second : std::string();
}

/// The file of that name to which the framework's own run paths lead, or that a package brings.
std::string own_library(const std::string& name, const Record& record) {
  for (const std::string& folder : record.run_paths) {
    std::string path = real(fs::path(folder) / name);
    if (!path.empty()) return path;
  }
  const auto brought = record.brought.find(name);
  return brought != record.brought.end() ? real(brought->second) : std::string();
}

}  // namespace

bool is_loader_message(std::string_view message) {
  static constexpr std::array<std::string_view, 8> kWords{"cannot open shared object file",
                                                          "undefined symbol",
                                                          "symbol lookup error",
                                                          "invalid ELF header",
                                                          "file too short",
                                                          "wrong ELF class",
                                                          "cannot read file data",
                                                          "' not found (required by"};
  return message.find(".so") != std::string_view::npos &&
         std::any_of(kWords.begin(), kWords.end(), [&](std::string_view words) {
           return message.find(words) != std::string_view::npos;
         });
}

std::vector<std::string> library_names(std::string_view message) {
  const auto belongs = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("_-.+").find(c) != std::string_view::npos;
  };
  std::vector<std::string> names;
  while (!message.empty()) {
    const auto* const begin = std::find_if(message.begin(), message.end(), belongs);
    const auto* const end = std::find_if_not(begin, message.end(), belongs);
    std::string word(begin, end);
    message.remove_prefix(static_cast<std::size_t>(end - message.begin()));
    while (word.ends_with('.')) word.pop_back();
    if (word.starts_with("lib") && word.find(".so") != std::string::npos &&
        std::find(names.begin(), names.end(), word) == names.end()) {
      names.push_back(std::move(word));
    }
  }
  return names;
}

std::string ForeignLibrary::text() const {
  return fmt::format("{} leads to {} in place of {}", variable, path, own);
}

std::optional<ForeignLibrary> foreign_library_for(const std::string& name, const Record& record) {
  const std::string own = own_library(name, record);
  if (own.empty()) return std::nullopt;
  // The loader takes the first that it finds, and what is preloaded before all.
  std::string preload = setting(record, "LD_PRELOAD");
  std::replace(preload.begin(), preload.end(), ' ', ':');
  for (const std::string& path : library_path_directories(preload)) {
    if (file_name(path) == name && real(path) != own)
      return ForeignLibrary{path, own, "LD_PRELOAD"};
  }
  for (const std::string& folder : library_path_directories(setting(record, "LD_LIBRARY_PATH"))) {
    const std::string path = (fs::path(folder) / name).string();
    if (real(path).empty()) continue;
    if (real(path) == own) break;
    return ForeignLibrary{path, own, "LD_LIBRARY_PATH"};
  }
  return std::nullopt;
}

std::vector<ForeignLibrary> foreign_libraries(const Record& record) {
  std::vector<ForeignLibrary> found;
  for (const CudaLibrary& library : record.libraries) {
    // What is loaded has the file's own name, "libcudnn.so.9.14.0", and is asked for by a shorter.
    for (std::string name = file_name(library.path); name.find(".so") != std::string::npos;
         name.erase(name.rfind('.'))) {
      auto foreign = foreign_library_for(name, record);
      if (!foreign || real(foreign->path) != real(library.path)) continue;
      foreign->path = library.path;
      found.push_back(std::move(*foreign));
      break;
    }
  }
  return found;
}

std::string stem_of(std::string_view path) {
  std::string_view name = path.substr(path.rfind('/') + 1);
  name = name.substr(0, name.find(".so"));
  // Wheels that bring libraries inside the framework add eight digits of a checksum to their names.
  const std::size_t dash = name.rfind('-');
  constexpr std::size_t kDigits = 8;
  if (dash != std::string_view::npos && name.size() - dash - 1 == kDigits &&
      std::all_of(name.begin() + static_cast<std::ptrdiff_t>(dash) + 1, name.end(),
                  [](unsigned char c) { return std::isxdigit(c) != 0; })) {
    name = name.substr(0, dash);
  }
  return std::string(name);
}

const CudaLibrary* find_library(const Record& record, std::string_view stem) {
  const auto found =
      std::find_if(record.libraries.begin(), record.libraries.end(),
                   [&](const CudaLibrary& library) { return stem_of(library.path) == stem; });
  return found != record.libraries.end() ? &*found : nullptr;
}

std::vector<SetProblem> set_problems(const Record& record, std::optional<ToolkitVersion> release,
                                     std::optional<DriverCudaVersion> driver) {
  std::vector<SetProblem> problems;
  std::map<std::string, std::string> first;
  for (const CudaLibrary& library : record.libraries) {
    const std::string stem = stem_of(library.path);
    const auto [known, added] = first.try_emplace(stem, library.path);
    if (!added && real(known->second) != real(library.path)) {
      problems.push_back(
          {fmt::format("{} is loaded twice: {} and {}", stem, known->second, library.path),
           {known->second, library.path}});
    }
    // Their version is that of the CUDA release which they are of.
    const bool of_a_release =
        stem == "libcudart" || stem == "libcublas" || stem == "libcublasLt" || stem == "libnvrtc";
    if (release && of_a_release && library.version && library.version->major != release->major) {
      problems.push_back(
          {fmt::format("{} is of CUDA {}.{}, and the framework was built for {}", library.path,
                       library.version->major, library.version->minor, release->text()),
           {library.path}});
    }
    if (release && library.built_for && library.built_for->major != release->major) {
      problems.push_back({fmt::format("{} was built for CUDA {}, and the framework for {}",
                                      library.path, library.built_for->text(), release->text()),
                          {library.path}});
    }
  }
  const auto version_of = [&](std::string_view stem) -> std::optional<LibraryVersion> {
    const CudaLibrary* const library = find_library(record, stem);
    return library != nullptr ? library->version : std::nullopt;
  };
  InstalledVersions versions;
  versions.libcuda_cuda = driver;
  versions.cublas = version_of("libcublas");
  versions.cublas_lt = version_of("libcublasLt");
  if (const CudaLibrary* nccl = find_library(record, "libnccl"); nccl != nullptr) {
    versions.nccl_built_for = read_nccl_build(nccl->path);
  }
  // libcudnn opens its parts when they are needed, wherever the loader finds them.
  const CudaLibrary* const cudnn = find_library(record, "libcudnn");
  for (const CudaLibrary& library : record.libraries) {
    if (cudnn == nullptr || !stem_of(library.path).starts_with("libcudnn_")) continue;
    const fs::path here = real(library.path), there = real(cudnn->path);
    if (here.parent_path() == there.parent_path()) continue;
    problems.push_back({fmt::format("cuDNN is in pieces of two installations: {} and {}",
                                    library.path, cudnn->path),
                        {library.path, cudnn->path}});
  }
  for (const Judgement& judgement : judge_parts(versions)) {
    if (judgement.holds) continue;
    SetProblem problem{judgement.sentence, {}};
    for (const CudaLibrary& library : record.libraries) {
      if (stem_of(library.path).starts_with(judgement.part)) problem.paths.push_back(library.path);
    }
    problems.push_back(std::move(problem));
  }
  return problems;
}

}  // namespace conformance::frameworks
