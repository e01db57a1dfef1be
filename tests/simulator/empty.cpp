// A library of the driver that the suites only look for.
extern "C" const char conformance_simulated[] = "simulated";
