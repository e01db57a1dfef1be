#include "fault.h"

namespace conformance {

Layer this_layer() { return dummy_layer("base"); }

namespace {

class Gate : public ConformanceTest {};
class Work : public ConformanceTest {};
class Soak : public ConformanceTest {};
class Linger : public ConformanceTest {};

TEST_F(Gate, Passes) { dummy_test(); }
TEST_F(Work, First) { dummy_test(); }
TEST_F(Work, Second) { dummy_test(); }
TEST_F(Work, Third) { dummy_test(); }
TEST_F(Soak, Lasts) { dummy_test(); }
TEST_F(Linger, Passes) { dummy_test(); }

}  // namespace
}  // namespace conformance
