#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <nccl.h>

namespace conformance::sim::nccl {

/// Bytes of an element; 0 if there is no such type.
std::size_t bytes_of(ncclDataType_t type);

/// What the contributions of all ranks give, in the order of the ranks. The operation is a built-in
/// one; of a sum, each rank's contribution is multiplied by the rank's scalar before, unless there
/// are none.
void reduce(ncclDataType_t type, ncclRedOp_t operation, const std::vector<std::uint64_t>& scalars,
            const std::vector<const char*>& inputs, std::size_t count, char* result);

}  // namespace conformance::sim::nccl
