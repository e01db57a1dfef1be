// Writes a host root that matches the simulated machine: the part of /proc, /sys, /dev and /etc
// that the suites read, for --host-root. Device nodes are plain files.

#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "tests/simulator/core/device.h"

namespace conformance::sim {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

std::string hexadecimal(const char* pattern, unsigned value) {
  char text[32];
  std::snprintf(text, sizeof(text), pattern, value);
  return text;
}

void write_gpu(const fs::path& root, const Gpu& gpu) {
  // Four digits of domain here, eight in NVML.
  const std::string bus_id = gpu.pci_bus_id().substr(4);
  write(root / "proc/driver/nvidia/gpus" / bus_id / "information",
        "Model: \t\t " + gpu.name + "\nIRQ:   \t\t 100\nGPU UUID: \t " + gpu.uuid +
            "\nVideo BIOS: \t 00.00.00.00.00\nBus Type: \t PCIe\nDMA Size: \t 52 bits\n"
            "Bus Location: \t " +
            bus_id + "\nDevice Minor: \t " + std::to_string(gpu.index) + "\nGPU Firmware: \t " +
            World::get().machine().driver_version + "\n");
  const fs::path pci = root / "sys/bus/pci/devices" / bus_id;
  write(pci / "vendor", hexadecimal("0x%04x\n", gpu.pci_device_id & 0xffffu));
  write(pci / "device", hexadecimal("0x%04x\n", gpu.pci_device_id >> 16));
  write(pci / "class", "0x030200\n");
  write(pci / "numa_node", "0\n");
  fs::create_symlink("../../drivers/nvidia", pci / "driver");
  write(root / "dev" / ("nvidia" + std::to_string(gpu.index)), "");
}

void write_root(const fs::path& root) {
  const Machine& machine = World::get().machine();
  if (fs::exists(root) && !fs::is_empty(root)) {
    throw std::runtime_error(root.string() + " is not empty");
  }
  write(root / "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  " + machine.driver_version +
            "  Release Build  (simulated)\nGCC version:  gcc version 12.2.0\n");
  // "DeviceFileModify: 1": whoever may, makes the node.
  const auto capability = [&](const char* name, int minor) {
    write(root / "proc/driver/nvidia/capabilities" / name,
          "DeviceFileMinor: " + std::to_string(minor) +
              "\nDeviceFileMode: 256\nDeviceFileModify: 1\n");
  };
  capability("mig/config", 1);
  capability("mig/monitor", 2);
  write(root / "proc/devices", "Character devices:\n195 nvidia\n234 nvidia-caps\n");
  write(root / "proc/modules",
        "nvidia_uvm 4096 0 - Live 0x0000000000000000\nnvidia 4096 1 nvidia_uvm, Live "
        "0x0000000000000000\n");
  write(root / "proc/sys/kernel/osrelease", "6.1.0-simulated\n");
  write(root / "etc/os-release", "PRETTY_NAME=\"Simulated host\"\n");
  write(root / "sys/module/nvidia/version", machine.driver_version + "\n");
  write(root / "dev/kmsg",
        "5,0,0,-;Linux version 6.1.0-simulated\n"
        "4,1,1000000,-;NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  " +
            machine.driver_version + "  Release Build  (simulated)\n");
  fs::create_directories(root / "sys/bus/pci/drivers/nvidia");
  fs::create_directories(root / "sys/bus/pci/devices");
  fs::create_directories(root / "proc/driver/nvidia/gpus");
  write(root / "sys/devices/system/node/has_cpu", "0\n");
  write(root / "sys/devices/system/node/has_memory", "0\n");
  fs::create_directories(root / "dev/shm");
  for (const char* node : {"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"}) {
    write(root / "dev" / node, "");
  }
  for (const Gpu& gpu : machine.gpus) write_gpu(root, gpu);
}

}  // namespace
}  // namespace conformance::sim

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: conformance-sim-root DIR\n");
    return 2;
  }
  try {
    conformance::sim::write_root(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "conformance-sim-root: %s\n", error.what());
    return 1;
  }
}
