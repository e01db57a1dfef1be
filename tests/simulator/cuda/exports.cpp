// Every function that cuda.h declares is exported, as a driver does; those that libcuda.cpp and its
// neighbours do not define answer CUDA_ERROR_NOT_SUPPORTED. cuda.h itself is left out: a definition
// of this shape contradicts its declarations.

constexpr int kNotSupported = 801;

#define EXPORT(name) \
  extern "C" __attribute__((weak)) int name() { return kNotSupported; }
#include "driver_exports.inc"
