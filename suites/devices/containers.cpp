#include <unistd.h>

#include <fmt/format.h>

#include "fixtures/host_facts.h"
#include "fixtures/test.h"
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

}  // namespace
}  // namespace conformance::devices
