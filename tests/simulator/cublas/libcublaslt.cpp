// cuBLASLt is only loaded, by what checks that it belongs to the same toolkit.

#include <cublasLt.h>

#include "tests/simulator/core/device.h"
#include "tests/simulator/cublas/version_property.h"

extern "C" {

size_t cublasLtGetVersion() { return CUBLAS_VERSION; }

cublasStatus_t cublasLtGetProperty(libraryPropertyType type, int* value) {
  const conformance::sim::Firing firing =
      conformance::sim::World::get().faults().at({"cublasLtGetProperty"});
  if (!firing.value || value == nullptr)
    return conformance::sim::cublas::version_property(type, value);
  *value = static_cast<int>(*firing.value);
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
