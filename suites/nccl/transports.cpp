#include "suites/nccl/transports.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/child_task.h"
#include "fixtures/deadline.h"
#include "suites/nccl/participant.h"
#include "suites/nccl/ranks.h"

namespace conformance::nccl {

std::string transports_in_use() {
  ChildOptions options = child_task("connect-all");
  options.environment = {
      {"NCCL_DEBUG", "INFO"}, {"NCCL_DEBUG_SUBSYS", "INIT"}, {"NCCL_DEBUG_FILE", std::nullopt}};
  options.deadline = deadline_of(2 * kSetUpDeadline);
  options.merge_streams = true;
  options.output_limit = std::size_t{8} << 20;
  const ChildResult child = run_child(options);
  // "Channel 00/24 : 0[0] -> 1[1] via P2P/CUMEM"
  std::set<std::string> ways;
  std::istringstream lines(child.output);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t via = line.find(" via ");
    if (line.find("Channel") == std::string::npos || via == std::string::npos) continue;
    std::istringstream rest(line.substr(via + 5));
    std::string way;
    if (rest >> way) ways.insert(way);
  }
  if (!ways.empty()) return fmt::format("{}", fmt::join(ways, ", "));
  return fmt::format("not known: the process that was to tell them {}", child.describe());
}

int connect_all(std::span<const std::string>) {
  CudaInventory devices;
  Status status = read_cuda_inventory(devices);
  NcclClique clique;
  if (status.ok()) status = clique.open(devices, kSetUpDeadline);
  std::vector<std::unique_ptr<Participant>> parts;
  for (int index = 0; index < clique.size() && status.ok(); ++index) {
    ensure(CONFORMANCE_CALL(cudaSetDevice(clique.device(index).ordinal)));
    parts.push_back(std::make_unique<Participant>(index, clique.ranks(), std::size_t{64} << 10,
                                                  clique.stream(index)));
  }
  for (const Collective* const collective : {&kAllReduce, &kSendReceiveRing}) {
    const Case what{.collective = collective, .count = 1024};
    if (!status.ok()) break;
    for (int index = 0; index < clique.size(); ++index) {
      ensure(CONFORMANCE_CALL(cudaSetDevice(clique.device(index).ordinal)));
      parts[static_cast<std::size_t>(index)]->prepare(what);
    }
    status = clique.issue(
        [&](int index) {
          return parts[static_cast<std::size_t>(index)]->launch(what, clique.communicator(index));
        },
        kDeadline);
    if (status.ok()) status = clique.wait(kDeadline);
  }
  if (status.ok()) return 0;
  fmt::print("{}\n", status.describe());
  clique.abort();
  return 1;
}

}  // namespace conformance::nccl
