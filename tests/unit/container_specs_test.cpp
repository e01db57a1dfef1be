#include "suites/devices/container_specs.h"

#include <gtest/gtest.h>

namespace conformance::devices {
namespace {

using Paths = std::vector<std::string>;

TEST(ContainerSpecs, PathsOfTheHostAreReadFromYaml) {
  EXPECT_EQ(
      host_paths("cdiVersion: 0.5.0\n"
                 "kind: nvidia.com/gpu\n"
                 "devices:\n"
                 "- containerEdits:\n"
                 "    deviceNodes:\n"
                 "    - path: /dev/nvidia0\n"
                 "    - hostPath: /run/nvidia/driver/dev/nvidia1\n"
                 "  name: \"0\"\n"
                 "containerEdits:\n"
                 "  hooks:\n"
                 "  - path: /usr/bin/nvidia-cdi-hook\n"
                 "  mounts:\n"
                 "  - containerPath: /usr/lib/libcuda.so.1\n"
                 "    hostPath: '/usr/lib/libcuda.so.580.95.05' \r\n"),
      (Paths{"/dev/nvidia0", "/run/nvidia/driver/dev/nvidia1", "/usr/lib/libcuda.so.580.95.05"}));
}

TEST(ContainerSpecs, PathsOfTheHostAreReadFromJson) {
  EXPECT_EQ(
      host_paths(
          R"({"kind":"nvidia.com/gpu","containerEdits":{"deviceNodes":[{"path":"/dev/nvidiactl"}],)"
          R"("mounts":[{"hostPath" : "/usr/lib/a,b.so","containerPath":"/usr/lib/c.so"}]}})"),
      (Paths{"/dev/nvidiactl", "/usr/lib/a,b.so"}));
}

TEST(ContainerSpecs, OtherTextsNameNoPath) {
  for (const char* text :
       {"", "hostPath", "hostPath:", "\"hostPath\"", "hostPath: relative", "hostPath \"/x\"",
        "myhostPath: /x", "path: /usr/bin/x", "hostPath: \""}) {
    EXPECT_TRUE(host_paths(text).empty()) << text;
  }
}

}  // namespace
}  // namespace conformance::devices
