#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "fixtures/visible_devices.h"
#include "suites/devices/findings.h"
#include "suites/devices/list_devices.h"
#include "suites/devices/nvml_gpus.h"

namespace conformance::devices {
namespace {

constexpr const char* kVariable = "CUDA_VISIBLE_DEVICES";
constexpr const char* kOrder = "CUDA_DEVICE_ORDER";

/// What this process has to do with.
class Visibility : public GpuTest {};
/// What others may rely on, at the price of many processes.
class Selection : public GpuTest {};

Subject variable_subject() { return {"variable", kVariable}; }

std::optional<std::string> own_list() {
  const char* value = std::getenv(kVariable);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::string setting(const std::optional<std::string>& value) {
  return value ? fmt::format("{}=\"{}\"", kVariable, *value) : fmt::format("{} not set", kVariable);
}

/// CUDA names an instance of a split GPU after its profile: "NVIDIA H200 MIG 1g.18gb".
bool shows_instances(const CudaInventory& devices) {
  return std::any_of(devices.begin(), devices.end(), [](const CudaDevice& device) {
    return device.name.find(" MIG ") != std::string::npos;
  });
}

void require_whole_gpus(const CudaInventory& devices) {
  if (shows_instances(devices)) skip("MIG is on: the list names instances, not GPUs");
}

TEST_F(Visibility, TheListOfThisProcessIsFollowed) {
  claim(
      "A process sees the GPUs that CUDA_VISIBLE_DEVICES names, in its order, and all if it is not "
      "set",
      "CUDA Programming Guide: CUDA Environment Variables, CUDA_VISIBLE_DEVICES");
  const CudaInventory& devices = require(Devices{1});
  require_whole_gpus(devices);
  std::vector<std::string> seen;
  for (const CudaDevice& device : devices) seen.push_back(device.uuid);
  const std::optional<std::string> list = own_list();
  const std::vector<std::string> all = listed_by_a_process({{kVariable, std::nullopt}}).uuids;
  const VisibleGpus expected = predict_visibility(list, all);
  const std::size_t named = list ? parse_visible_devices(*list).size() : all.size();
  fact("devices.visible-list", list ? *list : std::string("not set"));
  if (named > seen.size()) {
    const std::size_t at = expected.ends_at.value_or(seen.size());
    fail(Finding(list_cut, variable_subject(),
                 list
                     ? fmt::format("{} has {} entries, the process sees {} GPUs: entry {}, \"{}\", "
                                   "names none",
                                   setting(list), named, seen.size(), at + 1,
                                   parse_visible_devices(*list)[at].text)
                     : fmt::format("another process sees {} GPUs, this one {}", named, seen.size()),
                 {{"entries", std::uint64_t{named}}, {"visible", std::uint64_t{seen.size()}}}));
  }
  if (expected.unsettled.empty()) {
    expect(seen == expected.uuids,
           Finding(wrong_visibility, variable_subject(),
                   fmt::format("{}: the process must see {}, and sees {}", setting(list),
                               fmt::join(expected.uuids, ", "), fmt::join(seen, ", "))));
  }
  verified(seen.size(), "GPUs");
}

/// The shortest beginning, of eight digits at least, that no other GPU shares.
std::string short_form(const std::string& uuid, const std::vector<std::string>& all) {
  constexpr std::size_t kShortest = 12;  // "GPU-" and eight digits
  for (std::size_t length = kShortest; length < uuid.size(); ++length) {
    std::string beginning = uuid.substr(0, length);
    const auto shared = std::count_if(all.begin(), all.end(), [&](const std::string& other) {
      return other.starts_with(beginning);
    });
    if (shared == 1) return beginning;
  }
  return uuid;
}

/// The GPUs of the host that CUDA shows in PCI order, and those among them that this process has.
struct Given {
  std::vector<std::string> all, own;
  std::vector<std::string> own_indices;
};

Given given_gpus(const CudaInventory& devices) {
  Given given;
  given.all = listed_by_a_process({{kOrder, "PCI_BUS_ID"}, {kVariable, std::nullopt}}).uuids;
  for (const CudaDevice& device : devices) {
    const auto place = std::find(given.all.begin(), given.all.end(), device.uuid);
    if (place == given.all.end()) {
      fail_and_end(Finding(wrong_visibility, device.subject(),
                           "a process without CUDA_VISIBLE_DEVICES does not see this GPU"));
    }
    given.own.push_back(device.uuid);
    given.own_indices.push_back(fmt::to_string(place - given.all.begin()));
  }
  return given;
}

std::string reversed(const std::vector<std::string>& entries) {
  return fmt::format("{}", fmt::join(entries.rbegin(), entries.rend(), ","));
}

/// Lists whose meaning is documented. They select among the GPUs that this process was given.
std::vector<std::string> documented_lists(const Given& given) {
  const std::vector<std::string>& indices = given.own_indices;
  std::vector<std::string> short_forms;
  short_forms.reserve(given.own.size());
  for (const std::string& uuid : given.own) short_forms.push_back(short_form(uuid, given.all));
  const std::string no_index = fmt::to_string(given.all.size());
  const std::string rest = indices.size() > 1 ? "," + indices[1] : "";
  std::vector<std::string> lists{"",
                                 no_index,
                                 indices.back(),
                                 reversed(indices),
                                 fmt::format("{},{}{}", indices[0], no_index, rest),
                                 fmt::format("{},-1{}", indices[0], rest),
                                 reversed(given.own),
                                 reversed(short_forms)};
  std::sort(lists.begin(), lists.end());
  lists.erase(std::unique(lists.begin(), lists.end()), lists.end());
  return lists;
}

/// One process for each list. All count in PCI order, so that an index means the same GPU in each.
std::vector<Listed> listed_with(const std::vector<std::string>& lists) {
  std::vector<Environment> environments;
  environments.reserve(lists.size());
  for (const std::string& list : lists) {
    environments.push_back({{kOrder, "PCI_BUS_ID"}, {kVariable, list}});
  }
  return listed_by_processes(environments);
}

TEST_F(Selection, EachDocumentedFormOfTheListSelectsItsGpus) {
  claim(
      "CUDA_VISIBLE_DEVICES selects by index, UUID or beginning of a UUID, in its order; an empty "
      "list selects none, and the list ends at the first invalid index",
      "CUDA Programming Guide: CUDA Environment Variables, CUDA_VISIBLE_DEVICES and "
      "CUDA_DEVICE_ORDER");
  const CudaInventory& devices = require(Devices{1});
  require_whole_gpus(devices);
  const Given given = given_gpus(devices);
  const std::vector<std::string> lists = documented_lists(given);
  const std::vector<Listed> listed = listed_with(lists);
  for (std::size_t i = 0; i < lists.size(); ++i) {
    const Listed& seen = listed[i];
    const VisibleGpus expected = predict_visibility(lists[i], given.all);
    const int code = expected.uuids.empty() ? cudaErrorNoDevice : cudaSuccess;
    expect(
        seen.uuids == expected.uuids && seen.code == code,
        Finding(wrong_visibility, variable_subject(),
                fmt::format("{}: a process must see [{}] with code {}, and saw [{}] with code {}",
                            setting(lists[i]), fmt::join(expected.uuids, ", "), code,
                            fmt::join(seen.uuids, ", "), seen.code),
                {{"list", lists[i]},
                 {"expected", std::uint64_t{expected.uuids.size()}},
                 {"seen", std::uint64_t{seen.uuids.size()}},
                 {"code", std::int64_t{seen.code}}}));
    verified(1, "lists");
  }
}

/// A list that the documentation leaves open, and the GPUs that it names in any reading.
struct OpenList {
  std::string list;
  std::vector<std::string> named;
};

std::vector<OpenList> open_lists(const Given& given) {
  const std::string& gpu = given.own[0];
  const std::string& index = given.own_indices[0];
  const std::vector<std::string> one{gpu};
  std::vector<OpenList> lists{{fmt::format("{},{}", index, index), one},
                              {fmt::format("{},{}", gpu, gpu), one},
                              {"GPU-00000000-0000-0000-0000-000000000000", {}},
                              {fmt::format("{},GPU-00000000", gpu), one},
                              {fmt::format("{},none", index), one},
                              {fmt::format("{}, ", index), one},
                              {fmt::format("{},{}", index, gpu), one}};
  // The beginning of every UUID: ambiguous unless there is one GPU only. It must not select others
  // than this process's, so it is tried where all are.
  if (given.own.size() == given.all.size()) lists.push_back({"GPU-", given.all});
  return lists;
}

TEST_F(Selection, AnOpenFormOfTheListSelectsNothingThatItDoesNotName) {
  claim(
      "Whatever CUDA makes of duplicates, unknown and ambiguous UUIDs and other texts: it shows no "
      "GPU that CUDA_VISIBLE_DEVICES does not name, and none twice",
      "CUDA Programming Guide: CUDA Environment Variables, CUDA_VISIBLE_DEVICES");
  const CudaInventory& devices = require(Devices{1});
  require_whole_gpus(devices);
  const std::vector<OpenList> open = open_lists(given_gpus(devices));
  std::vector<std::string> lists;
  lists.reserve(open.size());
  for (const OpenList& list : open) lists.push_back(list.list);
  const std::vector<Listed> listed = listed_with(lists);
  for (std::size_t i = 0; i < open.size(); ++i) {
    std::vector<std::string> seen = listed[i].uuids;
    fact(fmt::format("devices.open-list.{}", lists[i]),
         fmt::format("{} GPUs, code {}", seen.size(), listed[i].code));
    std::sort(seen.begin(), seen.end());
    const bool once = std::adjacent_find(seen.begin(), seen.end()) == seen.end();
    const bool named = std::all_of(seen.begin(), seen.end(), [&](const std::string& uuid) {
      return std::find(open[i].named.begin(), open[i].named.end(), uuid) != open[i].named.end();
    });
    expect(once && named, Finding(wrong_visibility, variable_subject(),
                                  fmt::format("{}: a process saw [{}]", setting(lists[i]),
                                              fmt::join(listed[i].uuids, ", ")),
                                  {{"list", lists[i]}, {"code", std::int64_t{listed[i].code}}}));
    verified(1, "lists");
  }
}

TEST_F(Selection, TheOrderIsByPciAddressOrBySpeed) {
  claim(
      "With CUDA_DEVICE_ORDER=PCI_BUS_ID devices are in ascending order of their PCI addresses; "
      "FASTEST_FIRST is the order without the variable, and shows the same GPUs",
      "CUDA Programming Guide: CUDA Environment Variables, CUDA_DEVICE_ORDER");
  const CudaInventory& devices = require(Devices{1});
  require_whole_gpus(devices);
  const std::vector<Listed> listed =
      listed_by_processes({{{kOrder, "PCI_BUS_ID"}, {kVariable, std::nullopt}},
                           {{kOrder, "FASTEST_FIRST"}, {kVariable, std::nullopt}},
                           {{kOrder, std::nullopt}, {kVariable, std::nullopt}}});
  const Listed &by_address = listed[0], &by_speed = listed[1], &by_default = listed[2];
  const Subject variable{"variable", kOrder};
  expect(std::is_sorted(by_address.bus_ids.begin(), by_address.bus_ids.end()),
         Finding(wrong_visibility, variable,
                 fmt::format("with PCI_BUS_ID a process saw [{}]",
                             fmt::join(by_address.bus_ids, ", "))));
  expect(by_speed.uuids == by_default.uuids,
         Finding(wrong_visibility, variable,
                 fmt::format("with FASTEST_FIRST a process saw [{}], without [{}]",
                             fmt::join(by_speed.uuids, ", "), fmt::join(by_default.uuids, ", "))));
  expect(std::is_permutation(by_address.uuids.begin(), by_address.uuids.end(),
                             by_speed.uuids.begin(), by_speed.uuids.end()),
         Finding(wrong_visibility, variable,
                 fmt::format("with PCI_BUS_ID a process saw [{}], with FASTEST_FIRST [{}]",
                             fmt::join(by_address.uuids, ", "), fmt::join(by_speed.uuids, ", "))));
  fact("devices.order-by-speed", fmt::format("{}", fmt::join(by_speed.bus_ids, ", ")));
  verified(by_address.uuids.size(), "GPUs");
}

/// The names of the instances of all split GPUs, as `nvidia-smi -L` prints them.
std::vector<std::string> mig_names(const NvmlGpus& nvml) {
  std::vector<std::string> names;
  for (const NvmlGpu& gpu : nvml.all()) {
    unsigned most = 0;
    if (!gpu.mig || !can_read(CONFORMANCE_CALL(nvml.session()->nvmlDeviceGetMaxMigDeviceCount(
                                  gpu.handle, &most)),
                              "mig-count", gpu)) {
      continue;
    }
    for (unsigned i = 0; i < most; ++i) {
      nvml::Device instance = nullptr;
      std::string name;
      // Not each number needs to have an instance.
      if (nvml.session()->nvmlDeviceGetMigDeviceHandleByIndex(gpu.handle, i, &instance) ==
              nvml::Return::success &&
          nvml.session().device_uuid(instance, name).ok()) {
        names.push_back(name);
      }
    }
  }
  return names;
}

TEST_F(Selection, TheNameOfAMigInstanceSelectsIt) {
  claim("CUDA_VISIBLE_DEVICES=MIG-<UUID> selects that instance, and nothing else",
        "NVIDIA Multi-Instance GPU User Guide: CUDA Device Enumeration");
  if (!shows_instances(require(Devices{1}))) skip("MIG is off: this process has whole GPUs");
  const NvmlGpus nvml = NvmlGpus::read();
  std::vector<std::string> names = mig_names(nvml);
  constexpr std::size_t kMost = 16;
  if (names.size() > kMost) names.resize(kMost);
  const std::vector<Listed> listed = listed_with(names);
  for (std::size_t i = 0; i < names.size(); ++i) {
    // The runtime gives the UUID's digits without saying of what.
    constexpr std::size_t kPrefix = 4;  // "MIG-", "GPU-"
    const std::vector<std::string>& seen = listed[i].uuids;
    expect(seen.size() == 1 && seen[0].substr(kPrefix) == names[i].substr(kPrefix),
           Finding(wrong_visibility, variable_subject(),
                   fmt::format("{}: a process saw [{}] with code {}", setting(names[i]),
                               fmt::join(seen, ", "), listed[i].code),
                   {{"list", names[i]}, {"code", std::int64_t{listed[i].code}}}));
    verified(1, "instances");
  }
  if (names.empty()) skip("NVML names no instance");
}

}  // namespace
}  // namespace conformance::devices
