#include <mutex>
#include <set>
#include <string>

#include "tests/simulator/core/error_names.h"
#include "tests/simulator/cudart/api.h"

namespace conformance::sim::cudart {
namespace {

constexpr ErrorName<cudaError_t> kErrors[] = {
#include "cuda_names/runtime_codes.inc"
};

/// What a query of an error's text answers, which its caller may keep for ever.
const char* answer(const char* call, cudaError_t error, const char* otherwise) {
  const Firing firing = World::get().faults().at({.call = call, .error = error});
  if (!firing.text) return otherwise;
  static auto* const mutex = new std::mutex;
  static auto* const kept = new std::set<std::string>;
  const std::lock_guard lock(*mutex);
  return kept->insert(*firing.text).first->c_str();
}

}  // namespace

extern "C" {

cudaError_t cudaGetLastError() {
  const cudaError_t last = cudaPeekAtLastError();
  last_error() = cudaSuccess;
  return last;
}

cudaError_t cudaPeekAtLastError() {
  // An error that the context is lost to comes back for ever.
  if (start() == cudaSuccess) {
    Device* device = device_at(current_ordinal());
    if (device != nullptr && device->lost() != 0) return static_cast<cudaError_t>(device->lost());
  }
  return last_error();
}

const char* cudaGetErrorName(cudaError_t error) {
  const char* name = name_in(kErrors, error);
  return answer("cudaGetErrorName", error, name == nullptr ? "unrecognized error code" : name);
}

const char* cudaGetErrorString(cudaError_t error) {
  const char* text = name_in(kErrors, error) == nullptr ? "unrecognized error code"
                                                        : "an error of the simulated runtime";
  return answer("cudaGetErrorString", error, error == cudaSuccess ? "no error" : text);
}

}  // extern "C"
}  // namespace conformance::sim::cudart
