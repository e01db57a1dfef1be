#pragma once

#include "tests/simulator/core/kernel.h"
#include "tests/simulator/cudart/api.h"

namespace conformance::sim::cudart {

/// Makes the operation of a launch on the device.
cudaError_t make_launch(Device& device, const void* host_function, const LaunchShape& shape,
                        void** arguments, Operation& operation);
/// What a kernel that no program registered can be launched by.
const void* handle_of(const Kernel& kernel);

}  // namespace conformance::sim::cudart
