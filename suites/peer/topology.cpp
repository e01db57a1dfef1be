#include "suites/peer/topology.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "fixtures/host_facts.h"
#include "fixtures/nvml_table.h"
#include "fixtures/pcie.h"

namespace conformance::peer {
namespace {

using nvml::Return;

/// An NVLink that is up: where it leads, and what it carries.
struct ActiveLink {
  nvml::NvLinkPeer kind = nvml::NvLinkPeer::unknown;
  std::string bus_id;    ///< of what it leads to
  double megabytes = 0;  ///< MB/s, each direction; 0 if not known
};

std::vector<ActiveLink> active_links(const NvmlSession& nvml, nvml::Device gpu) {
  std::vector<ActiveLink> links;
  for (unsigned number = 0; number < nvml::kMaxNvLinks; ++number) {
    nvml::Enabled state = nvml::Enabled::no;
    if (nvml->nvmlDeviceGetNvLinkState(gpu, number, &state) != Return::success ||
        state != nvml::Enabled::yes) {
      continue;
    }
    ActiveLink link;
    nvml->nvmlDeviceGetNvLinkRemoteDeviceType(gpu, number, &link.kind);
    nvml::PciInfo remote{};
    if (nvml->nvmlDeviceGetNvLinkRemotePciInfo_v2(gpu, number, &remote) == Return::success) {
      remote.bus_id[sizeof(remote.bus_id) - 1] = '\0';
      link.bus_id = normal_bus_id(remote.bus_id).value_or("");
    }
    nvml::FieldValue speed{};
    speed.field = nvml::kFieldNvLinkSpeed;
    speed.scope = number;
    if (nvml->nvmlDeviceGetFieldValues(gpu, 1, &speed) == Return::success &&
        speed.status == Return::success) {
      link.megabytes = speed.value.u;
    }
    links.push_back(link);
  }
  return links;
}

/// One GPU as NVML shows it.
struct Gpu {
  nvml::Device handle = nullptr;  ///< null if NVML does not know it
  std::string bus_id;
  std::vector<ActiveLink> links;
  double pcie_gigabytes = 0;
  std::string pcie;
};

Gpu read_gpu(const NvmlSession& nvml, const CudaDevice& device) {
  Gpu gpu;
  if (nvml->nvmlDeviceGetHandleByUUID(device.uuid.c_str(), &gpu.handle) != Return::success) {
    return {};
  }
  gpu.bus_id = device.pci_bus_id;
  gpu.links = active_links(nvml, gpu.handle);
  unsigned generation = 0, width = 0;
  if (nvml->nvmlDeviceGetMaxPcieLinkGeneration(gpu.handle, &generation) == Return::success &&
      nvml->nvmlDeviceGetMaxPcieLinkWidth(gpu.handle, &width) == Return::success) {
    gpu.pcie_gigabytes = pcie_gigabytes(generation, width).value_or(0);
    gpu.pcie = fmt::format("PCIe generation {} x {} lanes", generation, width);
  }
  return gpu;
}

/// What the links of `from` that lead to `to` carry; nothing while a link keeps to itself where it
/// leads or how fast it is.
struct Bundle {
  int links = 0;
  double gigabytes = 0;
};
std::optional<Bundle> links_between(const Gpu& from, const Gpu& to) {
  Bundle bundle;
  for (const ActiveLink& link : from.links) {
    if (link.megabytes == 0 || link.kind == nvml::NvLinkPeer::unknown) return std::nullopt;
    if (link.kind != nvml::NvLinkPeer::nvswitch && link.bus_id != to.bus_id) continue;
    ++bundle.links;
    bundle.gigabytes += link.megabytes / 1e3;
  }
  return bundle;
}

Path nvlink_path(const Gpu& from, const Gpu& to) {
  Path path;
  path.kind = Path::Kind::nvlink;
  const std::optional<Bundle> there = links_between(from, to);
  const std::optional<Bundle> back = links_between(to, from);
  if (!there || !back) return path;
  const Bundle& narrow = there->gigabytes < back->gigabytes ? *there : *back;
  path.links = narrow.links;
  path.gigabytes = narrow.gigabytes;
  path.source = fmt::format("{} NVLinks that carry {:.6g} GB/s together, by NVML", narrow.links,
                            narrow.gigabytes);
  return path;
}

Path pcie_path(const NvmlSession& nvml, const Gpu& from, const Gpu& to) {
  Path path;
  nvml::TopologyLevel level{};
  if (nvml->nvmlDeviceGetTopologyCommonAncestor(from.handle, to.handle, &level) !=
      Return::success) {
    return path;
  }
  switch (level) {
    case nvml::TopologyLevel::internal:
    case nvml::TopologyLevel::single:
      path.kind = Path::Kind::one_switch;
      break;
    case nvml::TopologyLevel::multiple:
      path.kind = Path::Kind::switches;
      break;
    case nvml::TopologyLevel::host_bridge:
      path.kind = Path::Kind::host_bridge;
      break;
    case nvml::TopologyLevel::node:
      path.kind = Path::Kind::one_node;
      break;
    case nvml::TopologyLevel::system:
      path.kind = Path::Kind::system;
      break;
  }
  const Gpu& narrow = from.pcie_gigabytes < to.pcie_gigabytes ? from : to;
  path.gigabytes = narrow.pcie_gigabytes;
  path.source = narrow.pcie;
  return path;
}

PairFacts read_pair(const NvmlSession& nvml, const Gpu& from, const Gpu& to) {
  PairFacts facts;
  if (from.handle == nullptr || to.handle == nullptr) return facts;
  const auto ask = [&](nvml::PeerCapability capability) -> PeerAnswer {
    nvml::PeerStatus status = nvml::PeerStatus::unknown;
    if (nvml->nvmlDeviceGetP2PStatus(from.handle, to.handle, capability, &status) !=
            Return::success ||
        status == nvml::PeerStatus::unknown) {
      return std::nullopt;
    }
    return status == nvml::PeerStatus::ok;
  };
  facts.reads = ask(nvml::PeerCapability::read);
  facts.writes = ask(nvml::PeerCapability::write);
  facts.atomics = ask(nvml::PeerCapability::atomics);
  facts.nvlink = ask(nvml::PeerCapability::nvlink);
  if (facts.nvlink == true) {
    facts.path = nvlink_path(from, to);
  } else if (facts.nvlink == false) {
    facts.path = pcie_path(nvml, from, to);
  }
  return facts;
}

}  // namespace

std::string Path::text() const {
  switch (kind) {
    case Kind::nvlink:
      return links > 0 ? fmt::format("NVLink x{}", links) : "NVLink";
    case Kind::one_switch:
      return "PCIe, same switch";
    case Kind::switches:
      return "PCIe, several switches";
    case Kind::host_bridge:
      return "PCIe, through a host bridge";
    case Kind::one_node:
      return "PCIe, between host bridges of one NUMA node";
    case Kind::system:
      return "PCIe, across sockets";
    case Kind::unknown:
      break;
  }
  return "a path that NVML does not tell";
}

std::string Path::mark() const {
  switch (kind) {
    case Kind::nvlink:
      return links > 0 ? fmt::format("NV{}", links) : "NV";
    case Kind::one_switch:
      return "PIX";
    case Kind::switches:
      return "PXB";
    case Kind::host_bridge:
      return "PHB";
    case Kind::one_node:
      return "NODE";
    case Kind::system:
      return "SYS";
    case Kind::unknown:
      break;
  }
  return "?";
}

std::optional<Limit> Path::limit(int directions) const {
  if (gigabytes == 0) return std::nullopt;
  return Limit{directions * gigabytes, directions == 1 ? source : source + ", in both directions"};
}

Topology Topology::read(const CudaInventory& devices) {
  Topology topology;
  topology.gpus_ = devices.size();
  topology.pairs_.resize(devices.size() * devices.size());
  std::unique_ptr<NvmlSession> nvml;
  if (!NvmlSession::open(nvml)) return topology;
  std::vector<Gpu> gpus;
  gpus.reserve(devices.size());
  for (const CudaDevice& device : devices) gpus.push_back(read_gpu(*nvml, device));
  for (std::size_t from = 0; from < gpus.size(); ++from) {
    for (std::size_t to = 0; to < gpus.size(); ++to) {
      if (from == to) continue;
      topology.pairs_[from * gpus.size() + to] = read_pair(*nvml, gpus[from], gpus[to]);
    }
  }
  return topology;
}

const PairFacts& Topology::facts(const OrderedPair& pair) const {
  return pairs_[static_cast<std::size_t>(pair.from.ordinal) * gpus_ +
                static_cast<std::size_t>(pair.to.ordinal)];
}

std::string Topology::matrix() const {
  std::string text;
  for (std::size_t from = 0; from < gpus_; ++from) {
    if (from > 0) text += " | ";
    for (std::size_t to = 0; to < gpus_; ++to) {
      text += to > 0 ? " " : "";
      text += from == to ? "-" : pairs_[from * gpus_ + to].path.mark();
    }
  }
  return text;
}

}  // namespace conformance::peer
