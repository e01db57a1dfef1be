// Compiled for its fat binary alone: see CMakeLists.txt.
#include "kernels/module_probe_kernels.cuh"
