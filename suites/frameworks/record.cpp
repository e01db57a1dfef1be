#include "suites/frameworks/record.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "fixtures/deadline.h"
#include "fixtures/elf.h"
#include "fixtures/library.h"

namespace conformance::frameworks {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string text(const Json& object, const char* key) {
  const auto member = object.find(key);
  return member != object.end() && member->is_string() ? member->get<std::string>() : std::string();
}

std::uint64_t count(const Json& object, const char* key) {
  const auto member = object.find(key);
  return member != object.end() && member->is_number_unsigned() ? member->get<std::uint64_t>() : 0;
}

/// The first numbers of a list; nothing unless there are `least`.
std::optional<std::array<int, 3>> numbers(const Json& object, const char* key, std::size_t least) {
  const auto member = object.find(key);
  if (member == object.end() || !member->is_array() || member->size() < least) return std::nullopt;
  std::array<int, 3> found{};
  for (std::size_t i = 0; i < std::min(found.size(), member->size()); ++i) {
    if (!(*member)[i].is_number_integer()) return std::nullopt;
    found[i] = (*member)[i].get<int>();
  }
  return found;
}

OpenedLibrary opened_library(const Json& item) { return {text(item, "name"), text(item, "error")}; }

SeenGpu seen_gpu(const Json& item) {
  return {text(item, "uuid"), text(item, "bus_id"), text(item, "error")};
}

Computed computed(const Json& item) {
  return {count(item, "right"), count(item, "wrong"), text(item, "first"), text(item, "error")};
}

CudaLibrary cuda_library(const Json& item) {
  CudaLibrary library{text(item, "path"), {}, {}};
  if (const auto version = numbers(item, "version", 3)) {
    library.version = {(*version)[0], (*version)[1], (*version)[2]};
  } else if (const std::uint64_t code = count(item, "version_code"); code != 0) {
    library.version = parse_nccl_version(static_cast<int>(code));
  }
  if (const auto built = numbers(item, "built_for", 2)) {
    library.built_for = {(*built)[0], (*built)[1]};
  }
  return library;
}

template <typename T>
void take_list(const Json& facts, const char* key, std::vector<T>& into, T (*parse)(const Json&)) {
  const auto list = facts.find(key);
  if (list == facts.end() || !list->is_array()) return;
  for (const Json& item : *list) into.push_back(parse(item));
}

void take_texts(const Json& facts, const char* key, std::map<std::string, std::string>& into) {
  const auto object = facts.find(key);
  if (object == facts.end() || !object->is_object()) return;
  for (const auto& [name, value] : object->items()) {
    if (value.is_string()) into[name] = value.get<std::string>();
  }
}

/// The folders that libraries name to the loader, in which it looks for what they need.
std::vector<std::string> run_paths_of(const std::vector<OpenedLibrary>& libraries) {
  std::vector<std::string> folders;
  for (const OpenedLibrary& library : libraries) {
    const ElfReading read = read_elf(library.name);
    if (!read.elf) continue;
    const std::string origin = fs::path(library.name).parent_path().string();
    for (std::string folder : library_path_directories(read.elf->rpath + ":" + read.elf->runpath)) {
      for (const std::string_view word : {"${ORIGIN}", "$ORIGIN"}) {
        if (folder.starts_with(word)) folder.replace(0, word.size(), origin);
      }
      folders.push_back(std::move(folder));
    }
  }
  return folders;
}

/// The scripts lie beside the suite's program.
fs::path probe_folder() { return fs::path(own_executable()).replace_filename("probe"); }

}  // namespace

Record parse_record(std::string_view output) {
  Json facts = Json::object();
  while (!output.empty()) {
    const std::string_view line = output.substr(0, output.find('\n'));
    output.remove_prefix(std::min(output.size(), line.size() + 1));
    const Json said = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (said.is_object()) facts.update(said);
  }
  Record record;
  for (const auto& [name, value] : facts.items()) record.said.insert(name);
  record.installed = facts.value("installed", Json()) == true;
  record.executable = text(facts, "executable");
  record.file = text(facts, "file");
  record.version = text(facts, "version");
  record.import_error = text(facts, "import_error");
  record.cuda_release = text(facts, "cuda_release");
  record.build = text(facts, "build");
  record.gpu_error = text(facts, "gpu_error");
  record.doing = text(facts, "doing");
  take_list<std::string>(facts, "architectures", record.architectures, [](const Json& item) {
    return item.is_string() ? item.get<std::string>() : std::string();
  });
  take_list(facts, "objects", record.objects, opened_library);
  take_list(facts, "wanted", record.wanted, opened_library);
  take_list(facts, "gpus", record.gpus, seen_gpu);
  take_list(facts, "products", record.products, computed);
  take_list(facts, "sums", record.sums, computed);
  take_list(facts, "libraries", record.libraries, cuda_library);
  take_texts(facts, "brought", record.brought);
  take_texts(facts, "environment", record.environment);
  return record;
}

std::vector<CudaLibrary> library_versions(const std::string& python,
                                          const std::vector<std::string>& paths) {
  ChildOptions options;
  options.argv = {python, "-B", (probe_folder() / "conformance_probe.py").string()};
  options.argv.insert(options.argv.end(), paths.begin(), paths.end());
  for (const char* variable : {"LD_LIBRARY_PATH", "LD_PRELOAD"}) {
    options.environment[variable] = std::nullopt;
  }
  options.deadline = deadline_of(std::chrono::seconds(30));
  return parse_record(run_child(options).output).libraries;
}

Record look_at(const Framework& framework, const std::string& python, int size,
               std::chrono::milliseconds deadline) {
  ChildOptions options;
  // -B: nothing is written beside the host's Python files.
  options.argv = {python, "-B", (probe_folder() / framework.probe).string(), fmt::to_string(size)};
  options.deadline = deadline;
  options.output_limit = std::size_t{16} << 20;
  ChildResult process = run_child(options);
  Record record = parse_record(process.output);
  record.run_paths = run_paths_of(record.objects);
  process.output.clear();
  // The end of what it printed is where the reason is.
  constexpr std::size_t kQuoted = 4000;
  if (process.error.size() > kQuoted) {
    process.error.erase(0, process.error.size() - kQuoted);
  }
  record.process = std::move(process);
  return record;
}

}  // namespace conformance::frameworks
