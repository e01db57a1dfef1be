#include "mix.h"

__device__ unsigned mix(unsigned index, unsigned seed) { return index * 0x9e3779b1U + seed; }
