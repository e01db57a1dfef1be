#include "fixtures/kernel_log.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "fixtures/host_facts.h"
#include "fixtures/test.h"
#include "suites/devices/xid.h"

namespace conformance::devices {
namespace {

class Xids : public ConformanceTest {};

/// The GPUs that this process may use, by PCI address: of a container's host, not the others.
/// Nothing if the kernel does not list them here. CUDA is not asked: it no longer shows one that
/// was lost.
std::optional<std::vector<std::string>> own_bus_ids(const std::string& root) {
  const HostFacts host = read_host_facts(root);
  if (!host.kernel_gpus) return std::nullopt;
  std::vector<std::string> own;
  for (const KernelGpu& gpu : *host.kernel_gpus) {
    if (node_is_open(root, gpu)) own.push_back(gpu.bus_id);
  }
  return own;
}

TEST_F(Xids, TheDriverHasLoggedNoFaultOfAGpu) {
  claim("Since its driver was loaded, the driver has logged no fault (Xid) of a GPU",
        "NVIDIA XID Errors: Analyzing Xid Errors with the Xid Catalog");
  const std::string& root = Session::current().settings().host_root;
  const Reading<KernelLog> log = read_kernel_log(root);
  fact("devices.kernel-log",
       log ? fmt::format("{}, {} lines of the driver{}", log->source, log->lines.size(),
                         log->from_the_first_line ? "" : ", the oldest were dropped")
           : log.describe());
  if (!log) {
    skip(fmt::format("the kernel log cannot be read here ({}), so nothing is known of Xids",
                     log.describe()));
  }
  if (log->lines.empty()) skip("the kernel log holds no line of the driver");
  const auto own = own_bus_ids(root);
  std::map<std::pair<std::string, unsigned>, std::vector<XidEvent>> events;
  for (const XidEvent& event : xid_events(*log))
    events[{event.bus_id, event.number}].push_back(event);
  for (const auto& [key, all] : events) {
    const auto& [bus_id, number] = key;
    const XidEvent& last = all.back();
    const XidMeaning* meaning = xid_meaning(number);
    fact(fmt::format("devices.xid-{}.{}", number, bus_id),
         fmt::format("{} times: {}", all.size(),
                     meaning != nullptr ? meaning->meaning : "see NVIDIA's XID Errors"));
    const bool ours = !own || std::find(own->begin(), own->end(), bus_id) != own->end();
    if (!ours || last.recovered || meaning == nullptr || meaning->kind == nullptr) continue;
    fail(Finding(*meaning->kind, Subject{"device", fmt::format("GPU ({})", bus_id)},
                 fmt::format("Xid {}, {} times: {}; to be done: {}; last: {}", number, all.size(),
                             meaning->meaning, meaning->action, last.line),
                 {{"xid", std::uint64_t{number}}, {"times", std::uint64_t{all.size()}}}));
  }
  verified(log->lines.size(), "lines");
}

}  // namespace
}  // namespace conformance::devices
