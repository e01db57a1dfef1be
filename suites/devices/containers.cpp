#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <fmt/format.h>

#include "fixtures/host_facts.h"
#include "fixtures/test.h"
#include "suites/devices/capabilities.h"
#include "suites/devices/container_specs.h"
#include "suites/devices/findings.h"

namespace conformance::devices {
namespace {

class Containers : public ConformanceTest {};

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

TEST_F(Containers, WhatTheDeviceSpecificationsNameExists) {
  claim(
      "Each file and device node of the host that a specification of NVIDIA's devices for "
      "containers names is there",
      "NVIDIA Container Toolkit: Support for Container Device Interface; CDI specification: "
      "containerEdits");
  const std::string& root = Session::current().settings().host_root;
  if (exists(root + "/.dockerenv") || exists(root + "/run/.containerenv")) {
    skip("this is a container, and the paths are its host's");
  }
  const std::vector<std::string> specs = container_specs(root);
  for (const std::string& spec : specs) {
    const std::string name = spec.substr(root.size());
    const Reading<std::string> text = read_text_file(spec);
    std::vector<std::string> missing;
    for (const std::string& path : host_paths(text ? *text : "")) {
      if (!exists(root + path)) missing.push_back(path);
      verified(1, "paths");
    }
    if (missing.empty()) continue;
    fail(Finding(stale_container_specs, Subject{"file", name},
                 fmt::format("{} of the paths that it names do not exist, the first is {}",
                             missing.size(), missing[0]),
                 {{"missing", std::uint64_t{missing.size()}}, {"first", missing[0]}}));
  }
  if (Session::current().verified_count() == 0) {
    skip("no specification of NVIDIA's devices in /etc/cdi or /var/run/cdi");
  }
}

TEST_F(Containers, NodesOfCapabilitiesAreTheKernels) {
  claim(
      "Each node in /dev/nvidia-caps stands for the capability of its number, and of each GPU with "
      "MIG instances this process may open the nodes of one",
      "MIG User Guide: Device Nodes and Capabilities");
  const std::string& root = Session::current().settings().host_root;
  const auto capabilities = read_capabilities(root);
  if (!capabilities) skip("the kernel module shows this process no capabilities");
  const std::optional<unsigned> major_number = capability_major(root);
  std::size_t nodes = 0;
  for (const Capability& capability : *capabilities) {
    verified(1, "capabilities");
    const std::string path = node_path(capability);
    struct stat status {};
    if (::stat((root + path).c_str(), &status) != 0) continue;
    ++nodes;
    if (!S_ISCHR(status.st_mode) || !major_number) continue;
    expect(major(status.st_rdev) == *major_number && minor(status.st_rdev) == capability.minor,
           Finding(capability_node_wrong, Subject{"file", path},
                   fmt::format("it is the device {}:{}; the kernel's {} is {}:{}",
                               major(status.st_rdev), minor(status.st_rdev), capability.name,
                               *major_number, capability.minor)));
  }
  for (const std::string& gpu : gpus_without_usable_instance(*capabilities, root)) {
    fail(Finding(capability_node_wrong, Subject{"device", gpu},
                 "it has MIG instances, and this process may use none: the node of a GPU instance, "
                 "or of the compute instances in it, is missing or may not be read"));
  }
  fact("devices.capabilities",
       fmt::format("{}, of which {} have a node here", capabilities->size(), nodes));
  if (capabilities->empty()) skip("the kernel module has no capabilities");
}

}  // namespace
}  // namespace conformance::devices
