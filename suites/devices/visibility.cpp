#include <algorithm>
#include <cstdlib>
#include <exception>
#include <functional>
#include <thread>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "fixtures/visible_devices.h"
#include "suites/devices/findings.h"
#include "suites/devices/list_devices.h"

namespace conformance::devices {
namespace {

constexpr const char* kVariable = "CUDA_VISIBLE_DEVICES";

class Visibility : public GpuTest {};

Subject variable_subject() { return {"variable", kVariable}; }

std::optional<std::string> own_list() {
  const char* value = std::getenv(kVariable);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::string setting(const std::optional<std::string>& value) {
  return value ? fmt::format("{}=\"{}\"", kVariable, *value) : fmt::format("{} not set", kVariable);
}

/// CUDA names an instance of a split GPU after its profile: "NVIDIA H200 MIG 1g.18gb".
void require_whole_gpus(const CudaInventory& devices) {
  for (const CudaDevice& device : devices) {
    if (device.name.find(" MIG ") != std::string::npos) {
      skip("MIG is on: the list names instances, not GPUs");
    }
  }
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

/// Lists that select among the GPUs that this process was given, and no others.
std::vector<std::string> lists_to_try(const std::vector<std::string>& given,
                                      const std::vector<std::string>& all) {
  std::vector<std::string> indices;
  indices.reserve(given.size());
  for (const std::string& uuid : given) {
    indices.push_back(fmt::to_string(std::find(all.begin(), all.end(), uuid) - all.begin()));
  }
  std::vector<std::string> short_forms;
  short_forms.reserve(given.size());
  for (const std::string& uuid : given) short_forms.push_back(short_form(uuid, all));
  const auto reversed = [](const std::vector<std::string>& entries) {
    return fmt::format("{}", fmt::join(entries.rbegin(), entries.rend(), ","));
  };
  const std::string no_index = fmt::to_string(all.size());
  const std::string rest = indices.size() > 1 ? "," + indices[1] : "";
  std::vector<std::string> lists{
      "",
      "-1",
      no_index,
      indices.front(),
      indices.back(),
      reversed(indices),
      fmt::format("{},{}{}", indices[0], no_index, rest),
      fmt::format("{},-1{}", indices[0], rest),
      given.back(),
      reversed(given),
      reversed(short_forms),
      // What follows is not documented: it is tried for the record.
      fmt::format("{},{}", indices[0], indices[0]),
      fmt::format("{},{}", given[0], given[0]),
      "GPU-00000000-0000-0000-0000-000000000000",
  };
  std::sort(lists.begin(), lists.end());
  lists.erase(std::unique(lists.begin(), lists.end()), lists.end());
  return lists;
}

/// Runs `work` for each index below `count`, a few at a time: each starts a process that
/// initialises every GPU. An exception of any ends the test after all.
void a_few_at_a_time(std::size_t count, const std::function<void(std::size_t)>& work) {
  constexpr std::size_t kAtOnce = 4;
  for (std::size_t first = 0; first < count; first += kAtOnce) {
    std::vector<std::exception_ptr> errors(std::min(kAtOnce, count - first));
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < errors.size(); ++i) {
        threads.emplace_back([&, i] {
          try {
            work(first + i);
          } catch (...) {
            errors[i] = std::current_exception();
          }
        });
      }
    }
    for (const std::exception_ptr& error : errors) {
      if (error) std::rethrow_exception(error);
    }
  }
}

TEST_F(Visibility, EachDocumentedFormOfTheListSelectsItsGpus) {
  claim(
      "CUDA_VISIBLE_DEVICES selects by index, UUID or beginning of a UUID, in its order; an empty "
      "list selects none, and the list ends at the first invalid index",
      "CUDA Programming Guide: CUDA Environment Variables, CUDA_VISIBLE_DEVICES and "
      "CUDA_DEVICE_ORDER");
  const CudaInventory& devices = require(Devices{1});
  require_whole_gpus(devices);
  // One order for all processes, so that an index means the same GPU in each.
  const std::pair<const std::string, std::optional<std::string>> order{"CUDA_DEVICE_ORDER",
                                                                       "PCI_BUS_ID"};
  const std::vector<std::string> all =
      listed_by_a_process({order, {kVariable, std::nullopt}}).uuids;
  std::vector<std::string> given;
  for (const CudaDevice& device : devices) {
    if (std::find(all.begin(), all.end(), device.uuid) == all.end()) {
      fail_and_end(Finding(wrong_visibility, device.subject(),
                           "a process without CUDA_VISIBLE_DEVICES does not see this GPU"));
    }
    given.push_back(device.uuid);
  }
  const std::vector<std::string> lists = lists_to_try(given, all);
  a_few_at_a_time(lists.size(), [&](std::size_t i) {
    const Listed seen = listed_by_a_process({order, {kVariable, lists[i]}});
    const VisibleGpus expected = predict_visibility(lists[i], all);
    if (!expected.unsettled.empty()) {
      fact(fmt::format("devices.undocumented-list.{}", lists[i]),
           fmt::format("{} GPUs, code {}", seen.uuids.size(), seen.code));
      return;
    }
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
  });
}

}  // namespace
}  // namespace conformance::devices
