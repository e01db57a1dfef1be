#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "fixtures/cuda_inventory.h"
#include "fixtures/figure.h"
#include "fixtures/nvml_types.h"

namespace conformance::peer {

/// The way between two GPUs, as far as NVML tells it.
struct Path {
  enum class Kind {
    nvlink,
    one_switch,   ///< one PCIe switch
    switches,     ///< several PCIe switches
    host_bridge,  ///< a PCIe host bridge
    one_node,     ///< several host bridges of one NUMA node
    system,       ///< the link between NUMA nodes
    unknown
  };
  Kind kind = Kind::unknown;
  int links = 0;         ///< NVLinks that lead there; 0 where that is not known
  double gigabytes = 0;  ///< GB/s, each direction, that the wires carry; 0 where not known
  std::string source;    ///< how `gigabytes` follows

  /// "NVLink x18", "PCIe, same switch", …
  std::string text() const;
  /// As `nvidia-smi topo -m` has it: "NV18", "PIX", "PXB", "PHB", "NODE", "SYS"; "?" if not known.
  std::string mark() const;
  /// What the path allows in `directions` directions at once.
  std::optional<Limit> limit(int directions) const;
  bool operator==(const Path&) const = default;
};

/// What NVML says of one of the capabilities of a pair; nothing if it does not answer.
using PeerAnswer = std::optional<bool>;

/// What NVML says of a pair.
struct PairFacts {
  Path path;
  PeerAnswer reads, writes, atomics, nvlink;  ///< nvmlDeviceGetP2PStatus
};

/// What NVML says of every two GPUs of a process: a value, read once. What it does not say is
/// unknown and no fault here: the devices layer judges NVML.
class Topology {
 public:
  static Topology read(const CudaInventory& devices);

  const PairFacts& facts(const OrderedPair& pair) const;
  const Path& path(const OrderedPair& pair) const { return facts(pair).path; }
  /// Rows of marks: what each GPU, in CUDA's order, has to each other one.
  std::string matrix() const;

 private:
  std::size_t gpus_ = 0;
  std::vector<PairFacts> pairs_;  ///< from * gpus_ + to
};

}  // namespace conformance::peer
