// Preloaded over the real CUDA runtime, cuBLAS and NCCL: passes every call on, and makes the work
// of some of them go wrong as CONFORMANCE_INJECT says. It has no device code and links none of the
// libraries, so that programs which use none, such as ctest, can load it too: data is changed on
// its way through the host, in the order of the stream that it belongs to.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <dlfcn.h>

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <nccl.h>

#include "tests/hardware/fault.h"

// How nvcc's launches call the runtime; no header for host compilers declares these.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
void __cudaRegisterFunction(void** binary, const char* host_function, char* device_function,
                            const char* device_name, int thread_limit, uint3* thread, uint3* block,
                            dim3* block_size, dim3* grid_size, int* warp_size);
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host_function);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               std::size_t shared_bytes, cudaStream_t stream);
}
// NOLINTEND(bugprone-reserved-identifier)

namespace conformance::hardware {
namespace {

/// The function of that name in the libraries behind this one.
template <typename Function>
Function* find_next(const char* name) {
  void* const found = ::dlsym(RTLD_NEXT, name);
  if (found == nullptr) give_up(std::string("no library has ") + name);
  return reinterpret_cast<Function*>(found);
}
#define NEXT(function) (find_next<decltype(function)>(#function))

void demand(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return;
  give_up(std::string(call) + " failed: " + NEXT(cudaGetErrorName)(error));
}
#define DEMAND(function, ...) demand(NEXT(function)(__VA_ARGS__), #function)

/// By its type, as from CUDA 13.5 on cuda_runtime.h, which nccl.h brings, has more of this name.
void copy(void* to, const void* from, std::size_t bytes, cudaStream_t stream) {
  using Function = cudaError_t(void*, const void*, std::size_t, cudaMemcpyKind, cudaStream_t);
  demand(find_next<Function>("cudaMemcpyAsync")(to, from, bytes, cudaMemcpyDefault, stream),
         "cudaMemcpyAsync");
}

int current_device() {
  int device = 0;
  DEMAND(cudaGetDevice, &device);
  return device;
}

/// Makes a GPU current for a scope.
class OnDevice {
 public:
  explicit OnDevice(int device) : before_(current_device()) { DEMAND(cudaSetDevice, device); }
  ~OnDevice() { DEMAND(cudaSetDevice, before_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_;
};

/// Page-locked host memory. It stays until the process ends, which follows soon: to free it would
/// wait for the GPU, which a fault must not do.
unsigned char* pinned(std::size_t bytes) {
  void* memory = nullptr;
  // By its own type: the header has an overload too.
  using HostAlloc = cudaError_t(void**, std::size_t, unsigned);
  demand(find_next<HostAlloc>("cudaHostAlloc")(&memory, bytes, cudaHostAllocPortable),
         "cudaHostAlloc");
  return static_cast<unsigned char*>(memory);
}

/// Inverts one bit of GPU memory in the order of a stream.
class Flip {
 public:
  /// `bit` counts from the lowest bit of what begins at `memory`.
  Flip(void* memory, std::uint64_t bit, cudaStream_t stream)
      : target_(static_cast<unsigned char*>(memory) + bit / 8),
        stream_(stream),
        passing_(pinned(2)) {
    passing_[1] = static_cast<unsigned char>(1U << bit % 8);
  }

  void queue() const {
    copy(passing_, target_, 1, stream_);
    DEMAND(
        cudaLaunchHostFunc, stream_,
        [](void* data) {
          auto* const bytes = static_cast<unsigned char*>(data);
          bytes[0] ^= bytes[1];
        },
        passing_);
    copy(target_, passing_, 1, stream_);
  }

 private:
  unsigned char* target_;
  cudaStream_t stream_;
  unsigned char* passing_;  ///< the byte, and the mask of the bit
};

/// Makes a range of GPU memory zero for a while, in the order of a stream.
class Withheld {
 public:
  Withheld(void* memory, std::size_t bytes, cudaStream_t stream)
      : target_(memory), bytes_(bytes), stream_(stream), kept_(pinned(bytes)) {}

  void take() const {
    copy(kept_, target_, bytes_, stream_);
    DEMAND(cudaMemsetAsync, target_, 0, bytes_, stream_);
  }
  void give_back() const { copy(target_, kept_, bytes_, stream_); }

 private:
  void* target_;
  std::size_t bytes_;
  cudaStream_t stream_;
  unsigned char* kept_;
};

/// Makes the work between begin() and end() take a share longer than it does.
class Stretch {
 public:
  explicit Stretch(std::uint64_t percent_lost)
      : share_(static_cast<double>(percent_lost) / static_cast<double>(100 - percent_lost)) {}

  void begin(cudaStream_t stream) {
    DEMAND(
        cudaLaunchHostFunc, stream,
        [](void* data) { static_cast<Stretch*>(data)->start_ = Clock::now(); }, this);
  }
  /// The stream owns `stretch` from here on.
  static void end(std::unique_ptr<Stretch> stretch, cudaStream_t stream) {
    DEMAND(
        cudaLaunchHostFunc, stream,
        [](void* data) { std::unique_ptr<Stretch>(static_cast<Stretch*>(data))->wait(); },
        stretch.release());
  }

 private:
  using Clock = std::chrono::steady_clock;

  void wait() const {
    constexpr std::chrono::duration<double> kMost{5};
    const std::chrono::duration<double> took = Clock::now() - start_;
    std::this_thread::sleep_for(std::min(took * share_, kMost));
  }

  double share_;
  Clock::time_point start_;
};

/// Which GPU holds what, by what was allocated.
class Allocations {
 public:
  void add(const void* memory, std::size_t bytes, int device) {
    const std::lock_guard lock(mutex_);
    held_[memory] = {bytes, device};
  }
  void remove(const void* memory) {
    const std::lock_guard lock(mutex_);
    held_.erase(memory);
  }
  /// The GPU that holds `pointer`, or kHost.
  int device_of(const void* pointer) const {
    const std::lock_guard lock(mutex_);
    auto after = held_.upper_bound(pointer);
    if (after == held_.begin()) return kHost;
    const auto& [memory, range] = *--after;
    const std::ptrdiff_t offset =
        static_cast<const char*>(pointer) - static_cast<const char*>(memory);
    return static_cast<std::size_t>(offset) < range.bytes ? range.device : kHost;
  }

 private:
  struct Range {
    std::size_t bytes = 0;
    int device = kHost;
  };
  mutable std::mutex mutex_;
  std::map<const void*, Range> held_;
};

/// The process's fault and what it needs to know to strike.
class Injector {
 public:
  static Injector& current() {
    // Never destroyed: threads that hang may outlive main.
    static Injector& injector = *new Injector;
    return injector;
  }

  /// The fault, if it is of this kind.
  const Fault* fault(FaultKind kind) const {
    return fault_ != nullptr && fault_->kind == kind ? fault_.get() : nullptr;
  }

  /// Counts an operation that matches the fault: is it the one that is to go wrong?
  bool is_due() {
    const std::lock_guard lock(mutex_);
    return ++matched_ == fault_->occurrence;
  }

  void fired(const std::string& place) const { record_firing(fault_->name, place); }

  void note_function(const void* host_function, const char* device_name) {
    const std::lock_guard lock(mutex_);
    names_[host_function] = device_name;
  }
  void note_kernel(cudaKernel_t kernel, const void* host_function) {
    const std::lock_guard lock(mutex_);
    const auto known = names_.find(host_function);
    if (known != names_.end()) names_[kernel] = known->second;
  }
  /// Mangled; empty for a kernel that was not seen.
  std::string kernel_name(const void* kernel) const {
    const std::lock_guard lock(mutex_);
    const auto known = names_.find(kernel);
    return known == names_.end() ? std::string() : known->second;
  }

  Allocations& allocations() { return allocations_; }

  void note_stream(cublasHandle_t handle, cudaStream_t stream) {
    const std::lock_guard lock(mutex_);
    streams_[handle] = stream;
  }
  cudaStream_t stream_of(cublasHandle_t handle) const {
    const std::lock_guard lock(mutex_);
    const auto known = streams_.find(handle);
    return known == streams_.end() ? nullptr : known->second;
  }

  /// What is to happen once NCCL has queued the communicator's work, which it does not before the
  /// end of the group.
  void after_queued(ncclComm_t communicator, std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(communicator, std::move(work));
    group_ended_ = false;
  }
  void group_ended() {
    const std::lock_guard lock(mutex_);
    group_ended_ = true;
  }
  /// Nothing if there is nothing to do, or it is not time.
  std::function<void()> queued(ncclComm_t communicator) {
    const std::lock_guard lock(mutex_);
    if (!group_ended_) return nullptr;
    auto found = waiting_.extract(communicator);
    return found ? std::move(found.mapped()) : nullptr;
  }

 private:
  Injector() {
    const char* const text = std::getenv("CONFORMANCE_INJECT");
    if (text == nullptr) return;
    try {
      fault_ = std::make_unique<const Fault>(parse_fault(text));
    } catch (const std::invalid_argument& error) {
      give_up(error.what());
    }
  }

  std::unique_ptr<const Fault> fault_;
  mutable std::mutex mutex_;
  std::uint64_t matched_ = 0;
  std::map<const void*, std::string> names_;
  std::map<ncclComm_t, std::function<void()>> waiting_;
  bool group_ended_ = false;
  Allocations allocations_;
  std::map<cublasHandle_t, cudaStream_t> streams_;
};

/// After a copy was queued: spoils a bit of what arrives.
void spoil_copy(void* target, int from, int to, std::size_t bytes, cudaStream_t stream) {
  Injector& injector = Injector::current();
  const Fault& fault = *injector.fault(FaultKind::copy_flips_bit);
  if (from != fault.from || to != fault.to || bytes < fault.least || !injector.is_due()) return;
  // The first byte of a word, so that word and byte both name the place.
  const std::size_t byte = fault.at % bytes / 8 * 8;
  Flip(static_cast<unsigned char*>(target) + byte, fault.bit, stream).queue();
  injector.fired("byte " + std::to_string(byte));
}

/// Launches a kernel; what it stores in a range of a peer's memory is lost if it is its turn.
template <typename Launch>
cudaError_t launch_kernel(const void* kernel, void** arguments, cudaStream_t stream,
                          const Launch& launch) {
  Injector& injector = Injector::current();
  const Fault* const fault = injector.fault(FaultKind::store_lost);
  if (fault == nullptr ||
      injector.kernel_name(kernel).find("fill_pattern_kernel") == std::string::npos) {
    return launch();
  }
  // fill_pattern_kernel(words, count, …)
  auto* const words = *static_cast<std::uint64_t**>(arguments[0]);
  const std::size_t count = *static_cast<std::size_t*>(arguments[1]);
  if (current_device() != fault->from || injector.allocations().device_of(words) != fault->to ||
      count < fault->least || !injector.is_due()) {
    return launch();
  }
  const std::size_t first = fault->at % count;
  const std::size_t bytes =
      std::min<std::size_t>(fault->words, count - first) * sizeof(std::uint64_t);
  unsigned char* const before = pinned(bytes);
  copy(before, words + first, bytes, stream);
  const cudaError_t answer = launch();
  copy(words + first, before, bytes, stream);
  injector.fired("word " + std::to_string(first));
  return answer;
}

/// Computes a product by `call`; slows it, or spoils a bit of it, if it is its turn.
template <typename Call>
cublasStatus_t multiply(std::string_view name, cublasHandle_t handle, int m, int n, void* c,
                        int ldc, std::size_t element_bytes, const Call& call) {
  Injector& injector = Injector::current();
  const Fault* const slow = injector.fault(FaultKind::gemm_slow);
  const Fault* const once = injector.fault(FaultKind::gemm_flips_bit);
  const Fault* const always = injector.fault(FaultKind::gemms_flip_bit);
  const Fault* const fault = slow != nullptr ? slow : (once != nullptr ? once : always);
  if (fault == nullptr || fault->call != name ||
      (always == nullptr && current_device() != fault->device)) {
    return call();
  }
  cudaStream_t const stream = injector.stream_of(handle);
  if (slow != nullptr) {
    auto stretch = std::make_unique<Stretch>(slow->percent);
    stretch->begin(stream);
    const cublasStatus_t answer = call();
    Stretch::end(std::move(stretch), stream);
    injector.fired("");
    return answer;
  }
  const cublasStatus_t answer = call();
  const std::uint64_t elements = static_cast<std::uint64_t>(m) * static_cast<std::uint64_t>(n);
  if (elements < fault->least || (always == nullptr && !injector.is_due())) return answer;
  if (fault->bit >= 8 * element_bytes) give_up("the elements have fewer bits");
  const std::uint64_t row = fault->at % elements % static_cast<std::uint64_t>(m);
  const std::uint64_t column = fault->at % elements / static_cast<std::uint64_t>(m);
  Flip(static_cast<unsigned char*>(c) +
           (column * static_cast<std::uint64_t>(ldc) + row) * element_bytes,
       fault->bit, stream)
      .queue();
  injector.fired("row " + std::to_string(row) + ", column " + std::to_string(column));
  return answer;
}

std::size_t bytes_of(cudaDataType type) {
  switch (type) {
    case CUDA_R_16F:
    case CUDA_R_16BF:
      return 2;
    case CUDA_R_32F:
    case CUDA_R_32I:
      return 4;
    case CUDA_R_64F:
      return 8;
    default:
      give_up("a matrix product has a type that is not known here");
  }
}

int device_of(ncclComm_t communicator) {
  int device = 0;
  if (NEXT(ncclCommCuDevice)(communicator, &device) != ncclSuccess) {
    give_up("ncclCommCuDevice failed");
  }
  return device;
}

/// Goes on no more, if it is this rank's turn: the others give it up, and who started the process
/// ends it.
void stall(ncclComm_t communicator, std::size_t count) {
  Injector& injector = Injector::current();
  const Fault* const fault = injector.fault(FaultKind::all_reduce_stalls);
  if (fault == nullptr || count < fault->least) return;
  int rank = 0;
  if (NEXT(ncclCommUserRank)(communicator, &rank) != ncclSuccess)
    give_up("ncclCommUserRank failed");
  if (rank != fault->rank || !injector.is_due()) return;
  injector.fired("");
  std::this_thread::sleep_for(std::chrono::minutes(2));
  give_up("nobody ended a process that stalls");
}

}  // namespace

extern "C" {

void __cudaRegisterFunction(void** binary, const char* host_function, char* device_function,
                            const char* device_name, int thread_limit, uint3* thread, uint3* block,
                            dim3* block_size, dim3* grid_size, int* warp_size) {
  static auto* const next = NEXT(__cudaRegisterFunction);
  Injector::current().note_function(host_function, device_name);
  next(binary, host_function, device_function, device_name, thread_limit, thread, block, block_size,
       grid_size, warp_size);
}

cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host_function) {
  static auto* const next = NEXT(__cudaGetKernel);
  const cudaError_t answer = next(kernel, host_function);
  if (answer == cudaSuccess) Injector::current().note_kernel(*kernel, host_function);
  return answer;
}

// nvcc 13 launches by this function, …
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               std::size_t shared_bytes, cudaStream_t stream) {
  static auto* const next = NEXT(__cudaLaunchKernel);
  return launch_kernel(kernel, arguments, stream,
                       [&] { return next(kernel, grid, block, arguments, shared_bytes, stream); });
}

// … and nvcc 12 by this one.
cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             std::size_t shared_bytes, cudaStream_t stream) {
  static auto* const next = NEXT(cudaLaunchKernel);
  return launch_kernel(function, arguments, stream, [&] {
    return next(function, grid, block, arguments, shared_bytes, stream);
  });
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  static auto* const next = find_next<cudaError_t(void**, std::size_t)>("cudaMalloc");
  const cudaError_t answer = next(memory, bytes);
  if (answer == cudaSuccess) {
    Injector::current().allocations().add(*memory, bytes, current_device());
  }
  return answer;
}

cudaError_t cudaFree(void* memory) {
  static auto* const next = NEXT(cudaFree);
  Injector::current().allocations().remove(memory);
  return next(memory);
}

cudaError_t cudaMemcpyAsync(void* target, const void* source, std::size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t stream) {
  static auto* const next = NEXT(cudaMemcpyAsync);
  const cudaError_t answer = next(target, source, bytes, kind, stream);
  if (answer == cudaSuccess && bytes > 0 && kind != cudaMemcpyDeviceToHost &&
      Injector::current().fault(FaultKind::copy_flips_bit) != nullptr) {
    const Allocations& held = Injector::current().allocations();
    spoil_copy(target, held.device_of(source), held.device_of(target), bytes, stream);
  }
  return answer;
}

cudaError_t cudaMemcpyPeerAsync(void* target, int target_device, const void* source,
                                int source_device, std::size_t bytes, cudaStream_t stream) {
  static auto* const next = NEXT(cudaMemcpyPeerAsync);
  const cudaError_t answer = next(target, target_device, source, source_device, bytes, stream);
  if (answer == cudaSuccess && bytes > 0 &&
      Injector::current().fault(FaultKind::copy_flips_bit) != nullptr) {
    spoil_copy(target, source_device, target_device, bytes, stream);
  }
  return answer;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  static auto* const next = NEXT(cublasSetStream_v2);
  Injector::current().note_stream(handle, stream);
  return next(handle, stream);
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t transpose_a,
                              cublasOperation_t transpose_b, int m, int n, int k,
                              const float* alpha, const float* a, int lda, const float* b, int ldb,
                              const float* beta, float* c, int ldc) {
  static auto* const next = NEXT(cublasSgemm_v2);
  return multiply("cublasSgemm", handle, m, n, c, ldc, sizeof(float), [&] {
    return next(handle, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  });
}

cublasStatus_t cublasDgemm_v2(cublasHandle_t handle, cublasOperation_t transpose_a,
                              cublasOperation_t transpose_b, int m, int n, int k,
                              const double* alpha, const double* a, int lda, const double* b,
                              int ldb, const double* beta, double* c, int ldc) {
  static auto* const next = NEXT(cublasDgemm_v2);
  return multiply("cublasDgemm", handle, m, n, c, ldc, sizeof(double), [&] {
    return next(handle, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  });
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transpose_a,
                            cublasOperation_t transpose_b, int m, int n, int k, const void* alpha,
                            const void* a, cudaDataType type_a, int lda, const void* b,
                            cudaDataType type_b, int ldb, const void* beta, void* c,
                            cudaDataType type_c, int ldc, cublasComputeType_t compute,
                            cublasGemmAlgo_t algorithm) {
  static auto* const next = NEXT(cublasGemmEx);
  return multiply("cublasGemmEx", handle, m, n, c, ldc, bytes_of(type_c), [&] {
    return next(handle, transpose_a, transpose_b, m, n, k, alpha, a, type_a, lda, b, type_b, ldb,
                beta, c, type_c, ldc, compute, algorithm);
  });
}

ncclResult_t ncclAllReduce(const void* send, void* receive, std::size_t count, ncclDataType_t type,
                           ncclRedOp_t operation, ncclComm_t communicator, cudaStream_t stream) {
  static auto* const next = NEXT(ncclAllReduce);
  stall(communicator, count);
  Injector& injector = Injector::current();
  const Fault* const left_out = injector.fault(FaultKind::all_reduce_left_out);
  const Fault* const drops = injector.fault(FaultKind::all_reduce_drops);
  const Fault* fault = injector.fault(FaultKind::all_reduce_flips_bit);
  if (left_out != nullptr) fault = left_out;
  if (drops != nullptr) fault = drops;
  if (fault != nullptr && count >= fault->least && device_of(communicator) == fault->device &&
      injector.is_due()) {
    if (left_out != nullptr) {
      injector.fired("");
      return ncclSuccess;
    }
    if (type != ncclFloat || fault->bit >= 8 * sizeof(float)) give_up("only floats are spoiled");
    const std::size_t element = fault->at % count;
    const OnDevice current(fault->device);
    // The memory that it passes through is had now: once a rank's kernel runs, allocating could
    // wait for it, and it for the other ranks.
    if (drops != nullptr) {
      const std::size_t lost = std::min<std::size_t>(fault->elements, count - element);
      const Withheld withheld(static_cast<float*>(const_cast<void*>(send)) + element,
                              lost * sizeof(float), stream);
      withheld.take();
      injector.after_queued(communicator, [withheld] { withheld.give_back(); });
      injector.fired("the first is " + std::to_string(element));
    } else {
      const Flip flip(static_cast<float*>(receive) + element, fault->bit, stream);
      injector.after_queued(communicator, [flip] { flip.queue(); });
      injector.fired("element " + std::to_string(element));
    }
  }
  return next(send, receive, count, type, operation, communicator, stream);
}

ncclResult_t ncclGroupEnd() {
  static auto* const next = NEXT(ncclGroupEnd);
  const ncclResult_t answer = next();
  Injector::current().group_ended();
  return answer;
}

// Communicators that do not block queue their work some time after the end of the group. The first
// success afterwards says that they have. NCCL asks itself through here too, before it has queued
// anything.
ncclResult_t ncclCommGetAsyncError(ncclComm_t communicator, ncclResult_t* state) {
  static auto* const next = NEXT(ncclCommGetAsyncError);
  const ncclResult_t answer = next(communicator, state);
  if (answer == ncclSuccess && *state == ncclSuccess) {
    if (const std::function<void()> work = Injector::current().queued(communicator)) {
      const OnDevice current(device_of(communicator));
      work();
    }
  }
  return answer;
}

}  // extern "C"
}  // namespace conformance::hardware
