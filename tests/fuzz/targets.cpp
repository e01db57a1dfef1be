#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "ci/audit/archive.h"
#include "ci/audit/examine.h"
#include "ci/audit/loader.h"
#include "fixtures/byte_source.h"
#include "fixtures/compatibility.h"
#include "fixtures/device_code.h"
#include "fixtures/elf.h"
#include "fixtures/host_facts.h"
#include "fixtures/kernel_log.h"
#include "fixtures/version.h"
#include "fixtures/visible_devices.h"
#include "suites/devices/container_specs.h"
#include "suites/devices/xid.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/target.h"
#include "tests/support/scratch.h"

namespace conformance::fuzz {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// A part that is read back from its own text is the same part.
template <typename Version>
void promise_round_trip(const std::optional<Version>& version,
                        std::optional<Version> (*parse)(std::string_view)) {
  if (version) promise(parse(version->text()) == version, "a version's text is that version");
}

/// Small numbers out of an input; zeros once it is used up.
class Numbers {
 public:
  explicit Numbers(Input input) : rest_(input) {}
  unsigned below(unsigned end) {
    if (rest_.empty()) return 0;
    const auto value = static_cast<unsigned>(rest_.front());
    rest_ = rest_.subspan(1);
    return value % end;
  }
  std::optional<DriverVersion> driver() {
    constexpr std::array kMajors{470, 525, 535, 570, 575, 580, 590, 610};
    if (below(4) == 0) return std::nullopt;
    return DriverVersion::parse(
        fmt::format("{}.{}.{:02}", kMajors[below(kMajors.size())], below(256), below(100)));
  }
  template <typename Of>
  std::optional<CudaVersion<Of>> cuda() {
    if (below(4) == 0) return std::nullopt;
    return CudaVersion<Of>{static_cast<int>(10 + below(6)), static_cast<int>(below(10))};
  }
  std::optional<LibraryVersion> library() {
    if (below(4) == 0) return std::nullopt;
    return LibraryVersion{static_cast<int>(below(20)), static_cast<int>(below(20)),
                          static_cast<int>(below(20))};
  }

 private:
  Input rest_;
};

}  // namespace

std::span<const Target> targets() {
  static constexpr std::array all{
      Target{"elf", read_elf_file, 8000},
      Target{"device-code", read_device_code_file, 4000},
      Target{"host-files", read_host_files, 60},
      Target{"version-texts", read_version_texts, 20000},
      Target{"version-rule", judge_versions, 4000},
      Target{"visible-devices", read_visible_devices, 8000},
      Target{"audit", audit_file, 3000},
      Target{"journals", read_journals, 150},
      Target{"policy", read_policy, 1500},
  };
  return all;
}

void read_elf_file(Input input) {
  const ElfReading read = parse_elf(input);
  promise(read.elf.has_value() == read.error.empty(), "there is either a file or a reason");
  if (read.elf) {
    promise(read.elf->file_size == input.size(), "a file has its size");
    promise(read.elf->build_id.find_first_not_of("0123456789abcdef") == std::string::npos,
            "a build id is of hexadecimal digits");
    promise(!read.elf->describe().empty(), "a file has a description");
    promise(read.elf->is_64 || !read.elf->loadable_here(), "no 32-bit file can be loaded");
    const StubEvidence stub = stub_evidence(*read.elf, "/toolkit/lib64/stubs/libcuda.so");
    promise(stub.proven(), "what lies in a folder of stubs is one");
  }
  try {
    for (const ElfSection& section : elf_sections(ByteSource(input))) {
      promise(section.name.size() <= input.size(), "a name comes from the file");
    }
  } catch (const Malformed&) {
  }
}

void read_device_code_file(Input input) {
  const MemoryFile file(input);
  for (const DeviceCodeReading& read : {parse_fat_binary(input), read_device_code(file.path())}) {
    promise(read.modules.empty() || read.error.empty(), "what is damaged yields no modules");
    for (const DeviceModule& module : read.modules) {
      Coverage best = Coverage::missing;
      for (const DeviceCode& code : module) {
        promise(code.offset <= input.size() && code.size <= input.size() - code.offset,
                "code lies within the file");
        promise(!code.name().empty(), "code has a name");
        best = std::max(best, coverage(code, ComputeCapability{9, 0}));
      }
      promise(coverage(module, ComputeCapability{9, 0}) == best, "a module runs as its best code");
    }
  }
}

void audit_file(Input input) {
  for (const auto& [name, path] : audit::parse_loader_cache(as_text(input))) {
    promise(name.size() + path.size() <= input.size(), "names come from the cache");
  }
  const MemoryFile file(input);
  const audit::Host host{{{"sm_90", {9, 0}}}, DriverCudaVersion{12, 8}};
  audit::Loader loader({});
  try {
    const ByteSource source(input);
    if (audit::is_archive(source)) {
      for (const audit::Member& member : audit::archive_members(source)) {
        promise(member.bytes.size() <= input.size(), "a member lies within its file");
      }
    }
    const auto examined = audit::examine(file.path(), host, loader);
    if (!examined) return;
    promise(examined->bytes == input.size(), "a file has its size");
    promise((examined->modules > 0) == !examined->covers.empty(), "code is judged");
    for (const audit::Problem& problem : examined->problems) {
      promise(!problem.remedy.empty(), "a problem has a remedy");
    }
  } catch (const Malformed&) {
  }
}

void read_host_files(Input input) {
  // The input holds these files, one after another, with form feeds between them.
  static constexpr std::array kFiles{
      "proc/driver/nvidia/version",
      "proc/driver/nvidia/gpus/0000:06:00.0/information",
      "proc/modules",
      "sys/module/nvidia/version",
      "sys/bus/pci/devices/0000:06:00.0/class",
      "sys/bus/pci/devices/0000:06:00.0/vendor",
      "sys/bus/pci/devices/0000:06:00.0/device",
      "sys/bus/pci/devices/0000:06:00.0/numa_node",
      "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
      "etc/os-release",
      "dev/kmsg",
      "var/log/kern.log",
      "etc/cdi/nvidia.yaml",
  };
  static const support::ScratchFolder root(std::filesystem::temp_directory_path() /
                                           "conformance-fuzz");
  static std::map<std::string_view, std::string> written;
  const std::vector<std::string_view> parts = split(as_text(input), '\f');
  for (std::size_t i = 0; i < kFiles.size(); ++i) {
    const std::string_view text = i < parts.size() ? parts[i] : std::string_view();
    const auto known = written.find(kFiles[i]);
    if (known != written.end() && known->second == text) continue;
    support::write_scratch(root.path() / kFiles[i], text);
    written[kFiles[i]] = text;
  }
  const HostFacts host = read_host_facts(root.path());
  promise(!host.describe_gpus().empty(), "the GPUs have a description");
  promise(host.kernel_gpus && host.kernel_gpus->size() == 1, "a GPU's folder is a GPU");
  if (host.module) promise(host.module->version.major >= 0, "a version has a number");
  const Reading<KernelLog> log = read_kernel_log(root.path());
  if (log) {
    for (const devices::XidEvent& event : devices::xid_events(*log)) {
      promise(normal_bus_id(event.bus_id) == event.bus_id, "an Xid names a PCI device");
      devices::xid_meaning(event.number);
    }
    const std::vector<std::string> lines = lines_about(*log, "00000000:06:00.0", 3);
    promise(lines.size() <= 3, "no more lines than asked for");
  }
  for (const std::string& path : devices::host_paths(parts.back())) {
    promise(!path.empty(), "a path has a name");
  }
}

void read_version_texts(Input input) {
  const std::string_view text = as_text(input);
  if (const auto version = DriverVersion::parse(text)) {
    promise(version->text == text, "a version keeps its text");
    promise(DriverVersion::from_file_name(fmt::format("/lib/libcuda.so.{}", text)).has_value() ||
                version->major < 100,
            "a file that is named after a driver's version has it");
  }
  DriverVersion::from_file_name(text);
  promise_round_trip(parse_toolkit_version(text), parse_toolkit_version);
  promise_round_trip(parse_compute_capability(text), parse_compute_capability);
  parse_nvcc_version(text);
  parse_nccl_build(text);
  parse_ptx_version(text);
  parse_define(text, "CUDA_VERSION");
  parse_nvrm_version(text);
  parse_kmsg(text);
  parse_syslog(text);
  if (const auto bus_id = normal_bus_id(text)) {
    promise(normal_bus_id(*bus_id) == bus_id, "a normal address is normal");
  }
  int number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc()) {
    if (const auto cuda = ToolkitVersion::from_number(number)) {
      promise(cuda->number() == number, "a version has its number");
    }
    parse_nccl_version(number);
  }
}

void judge_versions(Input input) {
  Numbers numbers(input);
  InstalledVersions versions;
  versions.compat_package = numbers.below(2) == 1;
  versions.kernel_module = numbers.driver();
  versions.module_in_sysfs = numbers.driver();
  versions.libcuda = numbers.driver();
  versions.nvml = numbers.driver();
  versions.nvml_file = numbers.driver();
  versions.libcuda_cuda = numbers.cuda<struct OfDriver>();
  versions.nvml_cuda = numbers.cuda<struct OfDriver>();
  versions.headers = numbers.cuda<struct OfToolkit>();
  versions.compiler = numbers.cuda<struct OfToolkit>();
  versions.runtime = numbers.cuda<struct OfToolkit>();
  versions.nvrtc = numbers.cuda<struct OfToolkit>();
  versions.nccl_built_for = numbers.cuda<struct OfToolkit>();
  versions.cublas = numbers.library();
  versions.cublas_lt = numbers.library();
  versions.gpus.assign(numbers.below(3), numbers.below(2) == 0 ? "NVIDIA GeForce RTX" : "H200");
  for (const Judgement& judgement : judge_parts(versions)) {
    promise(!judgement.part.empty() && !judgement.source.empty() && !judgement.sentence.empty(),
            "a judgement has its reasons");
  }
  const std::optional<PairVerdict> verdict = judge_pair(versions);
  promise(verdict.has_value() == (versions.libcuda_cuda && versions.headers),
          "there is a verdict on each pair");
  if (!verdict) return;
  promise(!verdict->source.empty() && !verdict->text.empty(), "a verdict has its reasons");
  if (!verdict->supported() || versions.headers->minor == 0) return;
  --versions.headers->minor;
  promise(judge_pair(versions)->supported(), "who runs a release runs the one before");
}

void read_visible_devices(Input input) {
  // The first line is the variable's value, the others are the UUIDs of the host's GPUs.
  const std::vector<std::string_view> lines = split(as_text(input), '\n');
  const std::string value(lines.front());
  std::vector<std::string> gpus(lines.begin() + 1, lines.end());
  std::sort(gpus.begin(), gpus.end());
  gpus.erase(std::unique(gpus.begin(), gpus.end()), gpus.end());

  std::string joined;
  const std::vector<VisibleEntry> entries = parse_visible_devices(value);
  for (const VisibleEntry& entry : entries) {
    if (&entry != &entries.front()) joined += ',';
    joined += entry.text;
  }
  promise(joined == value, "every part of the value is an entry");
  const VisibleGpus seen = predict_visibility(value, gpus);
  promise(std::set(seen.uuids.begin(), seen.uuids.end()).size() == seen.uuids.size(),
          "no GPU is seen twice");
  for (const std::string& uuid : seen.uuids) {
    promise(std::binary_search(gpus.begin(), gpus.end(), uuid), "what is seen is there");
  }
  promise(!seen.ends_at || *seen.ends_at < entries.size(), "a list ends at one of its entries");
  promise(seen.uuids.size() <= entries.size(), "an entry shows one GPU at most");
  if (seen.unsettled.empty()) {
    promise(seen.uuids.size() == seen.ends_at.value_or(entries.size()),
            "each entry before the end shows a GPU");
  }
}

}  // namespace conformance::fuzz
