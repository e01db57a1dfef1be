#pragma once

#include "tests/simulator/core/device.h"
#include "tests/simulator/core/kernel.h"

namespace conformance::sim {

/// The GPU, other than `device`, whose memory a kernel's argument points to; -1 if there is none.
int peer_of(const PreparedKernel& kernel, const Device& device);

/// Runs a kernel as `device` does: an argument in memory that it cannot reach ends it with
/// cudaErrorIllegalAddress. Modelled duration: see README.md.
Outcome run_on_device(Device& device, const LaunchShape& shape, const PreparedKernel& prepared,
                      const Firing& firing);

}  // namespace conformance::sim
