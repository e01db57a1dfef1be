#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace conformance::sim {

/// What a simulated GPU is. All rates are modelled: see README.md.
struct Gpu {
  int index = 0;  ///< position in PCI order, which is NVML's
  std::string name, uuid;
  unsigned pci_domain = 0, pci_bus = 0, pci_device = 0;
  unsigned pci_device_id = 0x233510de;  ///< device and vendor, as NVML packs them
  int major = 9, minor = 0;
  int multiprocessors = 4;
  std::size_t memory_bytes = 8u << 20;
  std::size_t foreign_bytes = 0;  ///< memory that another process is said to hold
  std::size_t l2_bytes = 1u << 20;
  int clock_khz = 1'000'000;
  int memory_clock_khz = 500'000;
  int memory_bus_bits = 64;
  bool ecc = true;
  bool managed_memory = true;
  double host_link_bytes_per_second = 2e9;  ///< each direction
  int pcie_generation = 1, pcie_width = 8;  ///< that rate: 8 lanes of 250 MB/s
  double memory_efficiency = 0.9;  ///< share of the memory's peak that kernels and copies reach
  double matmul_efficiency = 0.8;  ///< share of the arithmetic peak that cuBLAS reaches
  std::map<std::string, std::int64_t> nvml;  ///< answers of NVML that differ from a healthy GPU's

  /// Double data rate: two transfers a clock.
  double memory_bytes_per_second() const {
    return 2.0 * memory_clock_khz * 1e3 * (memory_bus_bits / 8.0);
  }
  /// With MIG on, a GPU stands for its one instance, which bears this name.
  std::string mig_uuid() const { return "MIG-" + uuid.substr(4); }
  bool mig() const { return nvml.count("mig_mode") != 0 && nvml.at("mig_mode") == 1; }
  std::string pci_bus_id() const;  ///< "00000000:1b:00.0"
};

/// How data gets from one GPU to another.
struct Link {
  enum class Kind { none, pcie, nvlink } kind = Kind::nvlink;
  double bytes_per_second = 4e9;  ///< each direction
  int nvlinks = 4;                ///< lanes NVML shows per GPU
  int ancestor = 10;              ///< what the GPUs have in common, as NVML counts: a PCIe switch
  std::string bus;  ///< ways with one name take turns: data goes over one of them at a time
};

struct Machine {
  std::string driver_version = "580.95.05";
  std::string nvml_version = "13.580.95.05";
  int cuda_driver_version = 13000;
  std::vector<Gpu> gpus;
  std::vector<int> cuda_order;       ///< the GPUs that CUDA shows, in its own (fastest first) order
  bool cuda_order_fixed = false;     ///< a defect: CUDA_DEVICE_ORDER changes nothing
  bool cuda_knows_mig_names = true;  ///< a defect if not: MIG-<UUID> selects nothing
  bool cuda_repeats_devices = false;  ///< a defect: a GPU listed twice is shown twice
  std::vector<Link> links;            ///< from * gpus + to

  const Link& link(int from, int to) const {
    return links[static_cast<std::size_t>(from) * gpus.size() + static_cast<std::size_t>(to)];
  }
};

/// Reads the machine from a scenario's "machine" object. `gpus` > 0 says how many GPUs there are
/// unless the machine lists them. Throws std::runtime_error that names the offending key.
Machine read_machine(const nlohmann::json& machine, int gpus);

/// The GPUs, by CUDA ordinal, that a process sees with these values of CUDA_DEVICE_ORDER and
/// CUDA_VISIBLE_DEVICES; null where a variable is not set.
std::vector<int> visible_gpus(const Machine& machine, const char* device_order, const char* list);

}  // namespace conformance::sim
