// cuBLASLt is only loaded, by what checks that it belongs to the same toolkit.

#include <cublasLt.h>

#include "tests/simulator/core/device.h"

extern "C" {

size_t cublasLtGetVersion() { return CUBLAS_VERSION; }

cublasStatus_t cublasLtGetProperty(libraryPropertyType type, int* value) {
  if (value == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const conformance::sim::Firing firing =
      conformance::sim::World::get().faults().at({"cublasLtGetProperty"});
  if (firing.value) {
    *value = static_cast<int>(*firing.value);
    return CUBLAS_STATUS_SUCCESS;
  }
  switch (type) {
    case MAJOR_VERSION:
      *value = CUBLAS_VER_MAJOR;
      return CUBLAS_STATUS_SUCCESS;
    case MINOR_VERSION:
      *value = CUBLAS_VER_MINOR;
      return CUBLAS_STATUS_SUCCESS;
    case PATCH_LEVEL:
      *value = CUBLAS_VER_PATCH;
      return CUBLAS_STATUS_SUCCESS;
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

}  // extern "C"
