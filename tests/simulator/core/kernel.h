#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <vector_types.h>

namespace conformance::sim {

/// An argument of a kernel that is an address.
struct PointerArgument {
  const void* address = nullptr;
  bool writes = false;  ///< not a pointer to const
  std::size_t element_bytes = 1;
};

/// A kernel with its arguments, ready to run.
struct PreparedKernel {
  std::function<void()> thread;  ///< what one CUDA thread does
  std::vector<PointerArgument> pointers;

  void note(const PointerArgument& argument);
};

/// A kernel of the suites, compiled for the host.
struct Kernel {
  const char* name;      ///< without namespaces
  const void* function;  ///< its symbol's name is the name nvcc registers
  PreparedKernel (*prepare)(void** arguments);
  int parameters;
};

struct LaunchShape {
  dim3 grid, block;
  std::size_t shared_bytes = 0;
  dim3 cluster{1, 1, 1};     ///< blocks that run at the same time, and the grid is made of
  bool cooperative = false;  ///< all blocks run at the same time
};

/// The kernel that nvcc registers as `mangled`, or null.
const Kernel* find_kernel(std::string_view mangled);
/// Every kernel there is.
std::vector<std::string> kernel_symbols();

/// The bytes of a __constant__ variable of the kernels, by the name nvcc registers, as the calling
/// host thread has them; null if there is none.
void* find_constant(const char* mangled);

/// How a kernel ended.
struct KernelEnd {
  int error = 0;              ///< a cudaError_t, or 0
  double device_seconds = 0;  ///< what the kernel saw pass on the device's clock, if it looked
};
/// Runs all threads of all blocks on this host thread.
KernelEnd run_kernel(const LaunchShape& shape, const PreparedKernel& kernel, int clock_khz);

namespace detail {

template <auto Function>
struct Prepare;

template <typename... Parameters, void (*Function)(Parameters...)>
struct Prepare<Function> {
  static constexpr int kParameters = sizeof...(Parameters);

  static PreparedKernel from(void** arguments) {
    return make(arguments, std::index_sequence_for<Parameters...>{});
  }

 private:
  template <std::size_t... I>
  static PreparedKernel make([[maybe_unused]] void** arguments, std::index_sequence<I...>) {
    const std::tuple<std::remove_cv_t<Parameters>...> values{
        *static_cast<std::remove_cv_t<Parameters>*>(arguments[I])...};
    PreparedKernel prepared;
    (note(prepared, std::get<I>(values)), ...);
    prepared.thread = [values] { Function(std::get<I>(values)...); };
    return prepared;
  }
  template <typename T>
  static void note(PreparedKernel& prepared, const T& value) {
    if constexpr (std::is_pointer_v<T>) {
      using Pointee = std::remove_pointer_t<T>;
      std::size_t element = 1;
      if constexpr (!std::is_void_v<Pointee>) element = sizeof(Pointee);
      prepared.note({const_cast<const void*>(static_cast<const volatile void*>(value)),
                     !std::is_const_v<Pointee>, element});
    }
  }
};

}  // namespace detail

/// An entry of a kernel table.
template <auto Function>
Kernel make_kernel(const char* name) {
  return {name, reinterpret_cast<const void*>(Function), &detail::Prepare<Function>::from,
          detail::Prepare<Function>::kParameters};
}

/// All tables; the build generates it from kernels/*_kernels.cuh.
std::vector<Kernel> all_kernels();

}  // namespace conformance::sim
