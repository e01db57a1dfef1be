#include "fault.h"

int needed();

namespace conformance {

Layer this_layer() { return dummy_layer("middle"); }

namespace {

class Gate : public ConformanceTest {};

TEST_F(Gate, Passes) {
  EXPECT_EQ(needed(), 1);
  dummy_test();
}

}  // namespace
}  // namespace conformance
