// cuBLASLt is only loaded, by what checks that it belongs to the same toolkit.

#include <cublasLt.h>

extern "C" size_t cublasLtGetVersion() { return CUBLAS_VERSION; }
