#pragma once

#include <string_view>

#include <cuda_runtime_api.h>

#include "suites/runtime/findings.h"

namespace conformance::runtime {

/// The call must have returned `expected`; anything else is a finding. Counts one error code.
void expect_code(cudaError_t found, cudaError_t expected, std::string_view call,
                 const Subject& subject, const FindingKind& kind = wrong_error_code);

/// A launch that the device does not take must have been refused. The list of errors names
/// cudaErrorInvalidConfiguration for it; the runtime of CUDA 13 answers as the driver's
/// cuLaunchKernel does, by cudaErrorInvalidValue. Takes the thread's last error away, and counts
/// one error code.
void expect_refused_launch(cudaError_t found, std::string_view what, const Subject& subject);

}  // namespace conformance::runtime
