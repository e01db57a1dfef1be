#pragma once

namespace conformance::sim::cudart {

/// Gives memory of a pool back to it; false if it is of none.
bool release_to_pool(void* memory);

}  // namespace conformance::sim::cudart
