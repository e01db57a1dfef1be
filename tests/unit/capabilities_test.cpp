#include "suites/devices/capabilities.h"

#include <gtest/gtest.h>

#include "tests/unit/root_folder.h"

namespace conformance::devices {
namespace {

class Capabilities : public RootFolder {
 protected:
  void grant(const std::string& name, const std::string& minor) const {
    write("proc/driver/nvidia/capabilities/" + name,
          "DeviceFileMinor: " + minor + "\nDeviceFileMode: 292\nDeviceFileModify: 1\n");
  }
  std::vector<std::string> without_instance() const {
    return gpus_without_usable_instance(read_capabilities(root()).value(), root());
  }
};

TEST_F(Capabilities, WhatTheKernelDoesNotShowIsToldApart) {
  EXPECT_FALSE(read_capabilities(root()).has_value());
  EXPECT_FALSE(capability_major(root()).has_value());
  write("proc/driver/nvidia/capabilities/mig/config", "nothing known");
  grant("mig/monitor", "many");
  EXPECT_TRUE(read_capabilities(root()).value().empty());
}

TEST_F(Capabilities, NumbersAreRead) {
  grant("mig/monitor", "2");
  grant("gpu0/mig/gi1/access", "30");
  const std::vector<Capability> found = read_capabilities(root()).value();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].name, "gpu0/mig/gi1/access");
  EXPECT_EQ(node_path(found[0]), "/dev/nvidia-caps/nvidia-cap30");
  write("proc/devices",
        "Character devices:\n  1 mem\n237 nvidia-caps\n\nBlock devices:\n259 blkext\n");
  EXPECT_EQ(capability_major(root()), 237U);
}

TEST_F(Capabilities, OneInstanceThatCanBeUsedIsEnough) {
  grant("gpu0/mig/gi1/access", "3");
  grant("gpu0/mig/gi1/ci0/access", "4");
  grant("gpu0/mig/gi2/access", "5");
  grant("gpu0/mig/gi2/ci0/access", "6");
  EXPECT_TRUE(without_instance().empty()) << "it is another's";
  write("dev/nvidia0", "");
  EXPECT_EQ(without_instance(), std::vector<std::string>{"gpu0"});
  // A GPU instance and a compute instance of another one are of no use.
  write("dev/nvidia-caps/nvidia-cap3", "");
  write("dev/nvidia-caps/nvidia-cap6", "");
  EXPECT_EQ(without_instance(), std::vector<std::string>{"gpu0"});
  write("dev/nvidia-caps/nvidia-cap5", "");
  EXPECT_TRUE(without_instance().empty());
}

}  // namespace
}  // namespace conformance::devices
