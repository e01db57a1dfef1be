#include "fault.h"

namespace conformance {

Layer this_layer() { return dummy_layer("upper"); }

namespace {

class Gate : public ConformanceTest {};
class Work : public ConformanceTest {};

TEST_F(Gate, Passes) { dummy_test(); }
TEST_F(Work, Passes) { dummy_test(); }

}  // namespace
}  // namespace conformance
