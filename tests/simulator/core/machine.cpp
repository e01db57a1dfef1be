#include "tests/simulator/core/machine.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <set>
#include <sstream>
#include <stdexcept>

#include "tests/simulator/core/json_object.h"

namespace conformance::sim {
namespace {

constexpr int kMostGpus = 16;

std::string format(const char* pattern, unsigned a, unsigned b, unsigned c) {
  char text[64];
  std::snprintf(text, sizeof(text), pattern, a, b, c);
  return text;
}

void check(bool holds, const std::string& message) {
  if (!holds) throw std::runtime_error(message);
}

void read_gpu(const nlohmann::json& json, const std::string& place, Gpu& gpu) {
  JsonObject object(json, place);
  object.read("name", gpu.name);
  object.read("uuid", gpu.uuid);
  object.read("pci_domain", gpu.pci_domain);
  object.read("pci_bus", gpu.pci_bus);
  object.read("pci_device", gpu.pci_device);
  object.read("pci_device_id", gpu.pci_device_id);
  object.read("major", gpu.major);
  object.read("minor", gpu.minor);
  object.read("multiprocessors", gpu.multiprocessors);
  object.read("memory_bytes", gpu.memory_bytes);
  object.read("foreign_bytes", gpu.foreign_bytes);
  object.read("l2_bytes", gpu.l2_bytes);
  object.read("clock_khz", gpu.clock_khz);
  object.read("memory_clock_khz", gpu.memory_clock_khz);
  object.read("memory_bus_bits", gpu.memory_bus_bits);
  object.read("ecc", gpu.ecc);
  object.read("managed_memory", gpu.managed_memory);
  object.read("host_link_bytes_per_second", gpu.host_link_bytes_per_second);
  object.read("pcie_generation", gpu.pcie_generation);
  object.read("pcie_width", gpu.pcie_width);
  object.read("memory_efficiency", gpu.memory_efficiency);
  object.read("matmul_efficiency", gpu.matmul_efficiency);
  object.read("nvml", gpu.nvml);
  object.finish();
  check(gpu.memory_bytes >= (4u << 20) && gpu.memory_bytes % (2u << 20) == 0,
        place + ".memory_bytes: must be a multiple of 2 MiB, at least 4 MiB");
  check(gpu.foreign_bytes <= gpu.memory_bytes, place + ".foreign_bytes: more than the memory");
  check(gpu.host_link_bytes_per_second > 0 && gpu.memory_efficiency > 0 &&
            gpu.matmul_efficiency > 0 && gpu.clock_khz > 0 && gpu.memory_clock_khz > 0 &&
            gpu.memory_bus_bits > 0 && gpu.multiprocessors > 0,
        place + ": rates must be positive");
}

Link read_link(JsonObject& object, const std::string& place, Link link) {
  if (object.has("kind")) {
    const auto kind = object.required<std::string>("kind");
    if (kind == "none") {
      link.kind = Link::Kind::none;
    } else if (kind == "pcie") {
      link.kind = Link::Kind::pcie;
    } else if (kind == "nvlink") {
      link.kind = Link::Kind::nvlink;
    } else {
      throw std::runtime_error(place + ".kind: none, pcie or nvlink, not \"" + kind + "\"");
    }
  }
  object.read("bytes_per_second", link.bytes_per_second);
  object.read("nvlinks", link.nvlinks);
  object.read("ancestor", link.ancestor);
  object.read("bus", link.bus);
  check(link.bytes_per_second > 0, place + ".bytes_per_second: must be positive");
  return link;
}

void read_links(const nlohmann::json& json, Machine& machine) {
  JsonObject object(json, "machine.links");
  const int count = static_cast<int>(machine.gpus.size());
  if (object.has("all")) {
    JsonObject all(object.at("all"), "machine.links.all");
    const Link link = read_link(all, "machine.links.all", {});
    all.finish();
    std::fill(machine.links.begin(), machine.links.end(), link);
  }
  if (object.has("pairs")) {
    check(object.at("pairs").is_array(), "machine.links.pairs: must be an array");
    int number = 0;
    for (const nlohmann::json& item : object.at("pairs")) {
      const std::string place = "machine.links.pairs[" + std::to_string(number++) + "]";
      JsonObject pair(item, place);
      const int from = pair.required<int>("from");
      const int to = pair.required<int>("to");
      check(from >= 0 && to >= 0 && from < count && to < count && from != to,
            place + ": from and to must be two different GPUs");
      Link& link = machine.links[static_cast<std::size_t>(from) * machine.gpus.size() +
                                 static_cast<std::size_t>(to)];
      link = read_link(pair, place, link);
      pair.finish();
    }
  }
  object.finish();
}

/// The GPU that an entry of CUDA_VISIBLE_DEVICES means, -1 if none: an ordinal in `order`, or how
/// the UUID of exactly one GPU in it begins. GPUs that CUDA does not show make no UUID ambiguous.
int named_gpu(const Machine& machine, const std::vector<int>& order, const std::string& entry) {
  if (entry.rfind("GPU-", 0) == 0) {
    int named = -1;
    for (const int index : order) {
      if (machine.gpus[static_cast<std::size_t>(index)].uuid.rfind(entry, 0) != 0) continue;
      if (named >= 0) return -1;
      named = index;
    }
    return named;
  }
  for (const int index : order) {
    const Gpu& gpu = machine.gpus[static_cast<std::size_t>(index)];
    if (machine.cuda_knows_mig_names && gpu.mig() && gpu.mig_uuid() == entry) return index;
  }
  char* end = nullptr;
  const long ordinal = std::strtol(entry.c_str(), &end, 10);
  if (end == entry.c_str() || ordinal < 0 || ordinal >= static_cast<long>(order.size())) return -1;
  return order[static_cast<std::size_t>(ordinal)];
}

}  // namespace

std::string Gpu::pci_bus_id() const {
  return format("%08x:%02x:%02x.0", pci_domain, pci_bus, pci_device);
}

Machine read_machine(const nlohmann::json& json, int gpus) {
  Machine machine;
  JsonObject object(json, "machine");
  object.read("driver_version", machine.driver_version);
  object.read("nvml_version", machine.nvml_version);
  object.read("cuda_driver_version", machine.cuda_driver_version);
  object.read("cuda_order_fixed", machine.cuda_order_fixed);
  object.read("cuda_knows_mig_names", machine.cuda_knows_mig_names);
  object.read("cuda_repeats_devices", machine.cuda_repeats_devices);

  nlohmann::json all = nlohmann::json::object();
  nlohmann::json each = nlohmann::json::array();
  if (object.has("gpu")) all = object.at("gpu");
  if (object.has("gpus")) {
    const nlohmann::json& value = object.at("gpus");
    if (value.is_number_integer()) {
      gpus = value.get<int>();
    } else if (value.is_array()) {
      each = value;
      gpus = static_cast<int>(each.size());
    } else {
      throw std::runtime_error("machine.gpus: must be a count or an array");
    }
  } else if (gpus < 0) {
    gpus = 1;
  }
  check(gpus >= 0 && gpus <= kMostGpus,
        "machine.gpus: from 0 to " + std::to_string(kMostGpus) + " GPUs can be simulated");

  for (int i = 0; i < gpus; ++i) {
    Gpu gpu;
    const auto number = static_cast<unsigned>(i);
    gpu.index = i;
    gpu.name = "Simulated H200";
    gpu.uuid = format("GPU-51b0a7ed-0000-4000-8000-%08x%02x%02x", 0, 0, number);
    gpu.pci_bus = 0x10 + 0x10 * number % 0xf0 + number / 15;
    read_gpu(all, "machine.gpu", gpu);
    if (!each.empty()) {
      read_gpu(each[static_cast<std::size_t>(i)], "machine.gpus[" + std::to_string(i) + "]", gpu);
    }
    // Whoever reads a name must see what it is.
    if (gpu.name.rfind("Simulated ", 0) != 0) gpu.name = "Simulated " + gpu.name;
    machine.gpus.push_back(std::move(gpu));
  }

  machine.cuda_order.resize(static_cast<std::size_t>(gpus));
  std::iota(machine.cuda_order.begin(), machine.cuda_order.end(), 0);
  if (object.has("cuda_order")) {
    object.read("cuda_order", machine.cuda_order);
    const std::set<int> named(machine.cuda_order.begin(), machine.cuda_order.end());
    check(named.size() == machine.cuda_order.size() &&
              (named.empty() || (*named.begin() >= 0 && *named.rbegin() < gpus)),
          "machine.cuda_order: must name GPUs, each once at most");
  }
  machine.links.resize(static_cast<std::size_t>(gpus) * static_cast<std::size_t>(gpus));
  if (object.has("links")) read_links(object.at("links"), machine);
  object.finish();
  return machine;
}

std::vector<int> visible_gpus(const Machine& machine, const char* device_order, const char* list) {
  std::vector<int> order = machine.cuda_order;
  if (device_order != nullptr && std::strcmp(device_order, "PCI_BUS_ID") == 0 &&
      !machine.cuda_order_fixed) {
    std::sort(order.begin(), order.end());
  }
  if (list == nullptr) return order;
  // The list counts up to its first entry that names no GPU; an entry named twice leaves none.
  std::vector<int> visible;
  std::stringstream entries(list);
  std::string entry;
  while (std::getline(entries, entry, ',')) {
    const auto first = entry.find_first_not_of(" \t");
    entry = first == std::string::npos ? "" : entry.substr(first);
    const int index = named_gpu(machine, order, entry);
    if (index < 0) break;
    const bool again = std::find(visible.begin(), visible.end(), index) != visible.end();
    if (again && !machine.cuda_repeats_devices) return {};
    visible.push_back(index);
  }
  return visible;
}

}  // namespace conformance::sim
