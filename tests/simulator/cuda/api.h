#pragma once

#include <cuda.h>

#include "tests/simulator/core/context.h"

namespace conformance::sim::cuda {

/// Whether cuInit has succeeded.
bool initialised();

/// A call that concerns no GPU, or the GPU with an ordinal.
template <typename Body>
CUresult call(const char* name, Body body, int ordinal = -1) {
  if (!initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  const Device* device = ordinal < 0 ? nullptr : device_at(ordinal);
  const Firing firing = World::get().faults().at({name, device == nullptr ? -1 : device->index()});
  obstruct(firing);
  if (firing.code) return static_cast<CUresult>(*firing.code);
  return body(firing);
}

/// A call that concerns the GPU with an ordinal, which must be there.
template <typename Body>
CUresult on_device(const char* name, CUdevice ordinal, Body body) {
  return call(
      name,
      [&](const Firing& firing) {
        Device* device = device_at(ordinal);
        return device == nullptr ? CUDA_ERROR_INVALID_DEVICE : body(*device, firing);
      },
      ordinal);
}

}  // namespace conformance::sim::cuda
