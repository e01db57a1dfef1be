#include "fixtures/host_facts.h"

#include <cerrno>
#include <filesystem>
#include <vector>

#include <cuda.h>
#include <gtest/gtest.h>

#include "fixtures/pcie.h"
#include "suites/driver/diagnosis.h"
#include "suites/driver/findings.h"
#include "tests/unit/root_folder.h"

namespace conformance {
namespace {

namespace fs = std::filesystem;

class HostTree : public RootFolder {
 protected:
  void add_pci_gpu() const {
    const std::string device = "sys/bus/pci/devices/0000:06:00.0/";
    write(device + "vendor", "0x10de\n");
    write(device + "class", "0x030200\n");
    write(device + "device", "0x2335\n");
    write(device + "numa_node", "-1\n");
  }
  void add_module() const {
    write("proc/driver/nvidia/version",
          "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  "
          "(root@host)  Tue\nGCC version:  gcc version 12.2.0\n");
    write("proc/modules",
          "nvidia_uvm 1 0 - Live 0x0\nnvidia 2 1 nvidia_uvm, Live 0x0\next4 1 0 -\n");
  }
  void add_nodes() const {
    for (const char* node : {"dev/nvidia0", "dev/nvidiactl", "dev/nvidia-uvm"}) write(node, "");
  }
  const FindingKind& diagnose(int code) const {
    const HostFacts facts = read_host_facts(root());
    return driver::diagnose_init(code, facts, driver::denied_nodes(facts, root()));
  }
};

TEST(NvrmVersion, BothFormatsOfTheKernelModuleAreRead) {
  const auto closed = parse_nvrm_version(
      "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54.03  Tue Jun  6 22:20:39 UTC 2023\n"
      "GCC version:  gcc version 11.3.0\n");
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->version.text, "535.54.03");
  EXPECT_FALSE(closed->open);
  const auto open = parse_nvrm_version(
      "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (x)\n");
  ASSERT_TRUE(open);
  EXPECT_EQ(open->version.text, "580.159.04");
  EXPECT_TRUE(open->open);
}

TEST(NvrmVersion, OtherTextsGiveNone) {
  EXPECT_FALSE(parse_nvrm_version(""));
  EXPECT_FALSE(parse_nvrm_version("NVRM version: NVIDIA UNIX x86_64 Kernel Module"));
  EXPECT_FALSE(parse_nvrm_version("GCC version: 535.54.03"));
}

TEST(BusId, BothDomainWidthsBecomeOne) {
  EXPECT_EQ(normal_bus_id("0000:06:00.0"), "00000000:06:00.0");
  EXPECT_EQ(normal_bus_id("0000000A:C6:00.0"), "0000000a:c6:00.0");
  for (const char* text : {"", "06:00.0", "0000:06:00", "0000:06:00.00", "000g:06:00.0"}) {
    EXPECT_FALSE(normal_bus_id(text)) << text;
  }
}

TEST_F(HostTree, AnEmptyRootHasNothingAndNothingIsUnreadable) {
  const HostFacts facts = read_host_facts(root());
  EXPECT_TRUE(facts.module.absent());
  EXPECT_TRUE(facts.pci_gpus.absent());
  EXPECT_TRUE(facts.modules.absent());
  EXPECT_EQ(facts.describe_gpus(), "no NVIDIA GPU on the PCI bus");
}

TEST_F(HostTree, WhatCannotBeReadIsNotCalledAbsent) {
  // A directory in the file's place cannot be read by anybody, not even by root.
  fs::create_directories(root_ / "proc/driver/nvidia/version");
  const HostFacts facts = read_host_facts(root());
  EXPECT_TRUE(facts.module.unreadable());
  EXPECT_EQ(facts.module.error(), EISDIR);
  EXPECT_FALSE(facts.module.absent());
}

TEST_F(HostTree, AWholeHostIsRead) {
  add_pci_gpu();
  add_module();
  add_nodes();
  write("proc/driver/nvidia/gpus/0000:06:00.0/information",
        "Model: \t\t NVIDIA H200\nIRQ:   \t\t 16\nGPU UUID: \t GPU-01234567\nBus Location: \t "
        "0000:06:00.0\nDevice Minor: \t 3\nGPU Firmware: \t 580.159.04\n");
  write("proc/sys/kernel/osrelease", "6.1.0\n");
  write("etc/os-release", "ID=x\nPRETTY_NAME=\"Some Linux 12\"\n");
  write("sys/bus/pci/devices/0000:00:01.0/vendor", "0x8086\n");
  const HostFacts facts = read_host_facts(root());
  ASSERT_TRUE(facts.kernel_gpus);
  ASSERT_EQ(facts.kernel_gpus->size(), 1U);
  EXPECT_EQ(facts.kernel_gpus->front().model, "NVIDIA H200");
  EXPECT_EQ(facts.kernel_gpus->front().uuid, "GPU-01234567");
  EXPECT_EQ(facts.kernel_gpus->front().bus_id, "00000000:06:00.0");
  EXPECT_EQ(facts.kernel_gpus->front().minor, 3);
  ASSERT_TRUE(facts.pci_gpus);
  ASSERT_EQ(facts.pci_gpus->size(), 1U);
  EXPECT_EQ(facts.pci_gpus->front().device_id, 0x2335U);
  EXPECT_FALSE(facts.pci_gpus->front().numa_node);
  EXPECT_TRUE(facts.has_module("nvidia"));
  EXPECT_FALSE(facts.has_module("ext4"));
  EXPECT_NE(facts.node("/dev/nvidia0"), nullptr);
  EXPECT_EQ(facts.kernel, "6.1.0");
  EXPECT_EQ(facts.os, "Some Linux 12");
}

TEST_F(HostTree, ANodeSaysWhichDeviceItIs) {
  write("dev/nvidia0", "");
  fs::create_symlink("/dev/null", root_ / "dev/nvidia1");
  const HostFacts facts = read_host_facts(root());
  ASSERT_NE(facts.node("/dev/nvidia0"), nullptr);
  EXPECT_FALSE(facts.node("/dev/nvidia0")->character);
  const DeviceNode* null = facts.node("/dev/nvidia1");
  ASSERT_NE(null, nullptr);
  EXPECT_TRUE(null->character);
  EXPECT_EQ(null->major, 1U);
  EXPECT_EQ(null->minor, 3U);
}

TEST_F(HostTree, CodesThatNameTheirCauseAreTakenAtTheirWord) {
  EXPECT_EQ(&diagnose(CUDA_ERROR_STUB_LIBRARY), &driver::stub_loaded);
  EXPECT_EQ(&diagnose(CUDA_ERROR_SYSTEM_NOT_READY), &driver::system_not_ready);
  EXPECT_EQ(&diagnose(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH), &driver::library_mismatch);
  EXPECT_EQ(&diagnose(CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE), &driver::compat_unsupported);
  EXPECT_EQ(&diagnose(CUDA_ERROR_DEVICE_UNAVAILABLE), &driver::unavailable);
}

TEST_F(HostTree, TheHostDecidesWhatAVagueCodeMeans) {
  fs::create_directories(root_ / "sys/bus/pci/devices");
  EXPECT_EQ(&diagnose(CUDA_ERROR_NO_DEVICE), &driver::no_gpu);
  add_pci_gpu();
  EXPECT_EQ(&diagnose(CUDA_ERROR_UNKNOWN), &driver::module_not_loaded);
  write("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
        std::string("\x06\0\0\0\x01", 5));
  EXPECT_EQ(&diagnose(CUDA_ERROR_UNKNOWN), &driver::module_rejected);
  write("proc/modules", "nouveau 1 0 - Live 0x0\n");
  EXPECT_EQ(&diagnose(CUDA_ERROR_UNKNOWN), &driver::nouveau_loaded);
  add_module();
  EXPECT_EQ(&diagnose(CUDA_ERROR_NO_DEVICE), &driver::nodes_missing);
  add_nodes();
  EXPECT_EQ(&diagnose(CUDA_ERROR_NO_DEVICE), &driver::no_device);
  EXPECT_EQ(&diagnose(CUDA_ERROR_NOT_INITIALIZED), &driver::uvm_failed);
  EXPECT_EQ(&diagnose(CUDA_ERROR_OPERATING_SYSTEM), &driver::os_call_failed);
  EXPECT_EQ(&diagnose(CUDA_ERROR_INVALID_DEVICE), &driver::invalid_device);
  EXPECT_EQ(&diagnose(CUDA_ERROR_UNKNOWN), &driver::unknown_error);
  EXPECT_EQ(&diagnose(CUDA_ERROR_OUT_OF_MEMORY), &driver::init_failed);
  fs::remove(root_ / "dev/nvidia-uvm");
  EXPECT_EQ(&diagnose(CUDA_ERROR_UNKNOWN), &driver::uvm_missing);
}

TEST(DriverDiagnosis, AnotherMissingLibraryIsNotAMissingDriver) {
  using driver::diagnose_load_error;
  EXPECT_EQ(&diagnose_load_error(
                "libcuda.so.1: cannot open shared object file: No such file or directory"),
            &driver::not_found);
  EXPECT_EQ(
      &diagnose_load_error("libfoo.so: cannot open shared object file: No such file or directory"),
      &driver::unloadable);
  EXPECT_EQ(&diagnose_load_error("libcuda.so.1: wrong ELF class: ELFCLASS32"),
            &driver::wrong_architecture);
}

TEST(DriverDiagnosis, OnlyANewerCompatLibraryMayDifferFromTheModule) {
  const auto old = *DriverVersion::parse("535.54.03"), young = *DriverVersion::parse("580.65.06");
  EXPECT_TRUE(
      driver::is_forward_compatible(young, "/usr/local/cuda/compat/libcuda.so.580.65.06", old));
  EXPECT_FALSE(
      driver::is_forward_compatible(old, "/usr/local/cuda/compat/libcuda.so.535.54.03", young));
  EXPECT_FALSE(driver::is_forward_compatible(young, "/usr/lib/libcuda.so.580.65.06", old));
}

TEST(DriverDiagnosis, ALibraryOfAnotherVersionIsBlamedOnWhatBroughtIt) {
  HostFacts host;
  const auto kind = [&host](driver::DriverLibrary library) {
    return driver::diagnose_mismatch(library, host);
  };
  const auto plain = [&](const std::string& file) { return kind({file, file}); };
  const std::string store = "/nix/store/x-nvidia-x11-570.86.10/lib/";
  EXPECT_EQ(plain("/usr/lib/libcuda.so.570.86.10"), nullptr);  // the module's is not known
  host.module = Reading<KernelModule>::of({*DriverVersion::parse("580.65.06"), true, ""});
  EXPECT_EQ(plain("/usr/lib/libcuda.so.580.65.06"), nullptr);
  EXPECT_EQ(plain("/usr/lib/libcuda.so.1"), nullptr);
  EXPECT_EQ(plain("/usr/lib/libcuda.so.570.86.10"), &driver::version_mismatch);
  EXPECT_EQ(plain("/usr/local/cuda/compat/libcuda.so.570.86.10"), &driver::compat_hides_driver);
  EXPECT_EQ(plain("/usr/local/cuda/compat/libcuda.so.590.44.01"), nullptr);
  EXPECT_EQ(plain(store + "libcuda.so.570.86.10"), &driver::wrapper_mismatch);
  EXPECT_EQ(plain("/usr/lib/x86_64-linux-gnu/GL/nvidia-570-86-10/lib/libcuda.so.570.86.10"),
            &driver::wrapper_mismatch);
  // NixOS' own driver, and the host's through the development shell's links.
  EXPECT_EQ(kind({"/run/opengl-driver/lib/libcuda.so.1", store + "libcuda.so.570.86.10"}),
            &driver::version_mismatch);
  EXPECT_EQ(kind({"/nix/store/y-toolkit/lib/libcuda.so.1", store + "libcuda.so.570.86.10",
                  store + "libcuda.so.570.86.10"}),
            &driver::version_mismatch);
  EXPECT_EQ(kind({"/nix/store/y-toolkit/lib/libcuda.so.1", "/usr/lib/libcuda.so.570.86.10"}),
            &driver::version_mismatch);
}

TEST(NumberLists, AreReadAsTheKernelWritesThem) {
  EXPECT_EQ(parse_number_list("0-2,5\n"), (std::vector<int>{0, 1, 2, 5}));
  EXPECT_EQ(parse_number_list("7"), std::vector<int>{7});
  EXPECT_EQ(parse_number_list(""), std::vector<int>{});
  EXPECT_EQ(parse_number_list("\n"), std::vector<int>{});
  // What is not understood is left out, and what would fill the memory too.
  EXPECT_EQ(parse_number_list("x,3,-4,6-,99999999999,1-2000000000,4-3,8"),
            (std::vector<int>{3, 8}));
}

TEST_F(HostTree, NumaNodesAreThoseWithProcessorsAndMemory) {
  EXPECT_EQ(host_nodes(root()), std::vector<int>{});
  write("sys/devices/system/node/has_cpu", "0-1\n");
  EXPECT_EQ(host_nodes(root()), std::vector<int>{});
  write("sys/devices/system/node/has_memory", "0-5\n");
  EXPECT_EQ(host_nodes(root()), (std::vector<int>{0, 1}));
}

TEST(PcieLinks, CarryWhatTheirGenerationAndWidthSay) {
  // PCI Express Base Specification: 2.5 GT/s with 8b/10b, 32 GT/s with 128b/130b.
  EXPECT_DOUBLE_EQ(pcie_gigabytes(1, 1).value(), 0.25);
  EXPECT_NEAR(pcie_gigabytes(5, 16).value(), 63.0, 0.02);
  EXPECT_NEAR(pcie_gigabytes(4, 8).value(), 15.75, 0.01);
  EXPECT_FALSE(pcie_gigabytes(0, 16));
  EXPECT_FALSE(pcie_gigabytes(7, 16));
  EXPECT_FALSE(pcie_gigabytes(5, 0));
}

}  // namespace
}  // namespace conformance
