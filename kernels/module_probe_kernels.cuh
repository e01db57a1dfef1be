#pragma once

#include "kernels/module_probe.h"

namespace conformance::kernels {

// One word for each thread. The PTX in suites/driver/module_images.cpp does the same.
__global__ void module_probe_kernel(std::uint32_t* words, std::uint32_t count, std::uint32_t seed) {
  const std::uint32_t index = blockIdx.x * blockDim.x + threadIdx.x;
  if (index < count) words[index] = index * 0x9e3779b1U + seed;  // module_probe_word
}

}  // namespace conformance::kernels
