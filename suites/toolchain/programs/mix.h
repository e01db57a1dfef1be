#pragma once

/// The word that the kernel of words.cu writes at `index`.
__device__ unsigned mix(unsigned index, unsigned seed);
