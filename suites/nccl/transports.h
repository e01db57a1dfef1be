#pragma once

#include <span>
#include <string>

namespace conformance::nccl {

/// The ways between GPUs that NCCL says it takes, such as "P2P/CUMEM, SHM/direct/direct", or why
/// that is not known. Asks a process of its own, whose NCCL_DEBUG is INFO.
std::string transports_in_use();

/// The child task: sums and sends over all GPUs, so that NCCL connects them.
int connect_all(std::span<const std::string> arguments);

}  // namespace conformance::nccl
