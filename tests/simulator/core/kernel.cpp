#include "tests/simulator/core/kernel.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <thread>

#include <dlfcn.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cuda_runtime_api.h>

#include "kernels/cooperation.cuh"
#include "kernels/device_assert.h"
#include "kernels/shared_memory.h"
#include "tests/simulator/core/kernel_shim.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace conformance::sim {

thread_local ThreadPosition position;

namespace {

constexpr std::size_t kStackBytes = 64 * 1024;

/// Tells AddressSanitizer that the stack changes; nothing without it.
class StackSwitch {
 public:
  StackSwitch([[maybe_unused]] const void* bottom, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fake_, bottom, bytes);
#endif
  }
  void back() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_, nullptr, nullptr);
#endif
  }

 private:
#if defined(__SANITIZE_ADDRESS__)
  void* fake_ = nullptr;
#endif
};

class BlockRunner;
thread_local BlockRunner* running = nullptr;

/// A place to go on from, without the signal mask: swapcontext would enter the kernel at each
/// switch.
using Place = void* [5];
[[noreturn, gnu::noinline]] void go_to(Place& place) { __builtin_longjmp(place, 1); }

/// The stack that a runner was called on.
struct MainStack {
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  Place place{};
};

/// A stack on which CUDA threads run, one after another; a thread that waits at a barrier keeps it.
class Fiber {
 public:
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  explicit Fiber(void (*entry)())
      : stack_(static_cast<char*>(::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0))) {
    if (stack_ == MAP_FAILED) throw std::runtime_error("no memory for a fiber");
    ::getcontext(&context_);
    context_.uc_stack.ss_sp = stack_;
    context_.uc_stack.ss_size = kStackBytes;
    context_.uc_link = nullptr;
    ::makecontext(&context_, entry, 0);
  }
  ~Fiber() {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(stack_, kStackBytes);
#endif
    ::munmap(stack_, kStackBytes);
  }

  /// From the runner's stack to this one, until it leaves.
  [[gnu::noinline]] void enter(MainStack& from) {
    StackSwitch change(stack_, kStackBytes);
    if (__builtin_setjmp(from.place) == 0) {
      if (begun_) go_to(place_);
      begun_ = true;
      ::setcontext(&context_);
    }
    change.back();
  }
  /// From this stack to the runner's, until it is entered again.
  [[gnu::noinline]] void leave(MainStack& to) {
    StackSwitch change(to.bottom, to.bytes);
    if (__builtin_setjmp(place_) == 0) go_to(to.place);
    change.back();
  }

  uint3 thread{0, 0, 0}, block{0, 0, 0};
  unsigned rank = 0;

 private:
  char* stack_;
  ucontext_t context_{};
  Place place_{};
  bool begun_ = false;
};

/// Fibers that ended well, for the thread's next kernel: making one costs several system calls.
std::vector<std::unique_ptr<Fiber>>& spare_fibers() {
  thread_local std::vector<std::unique_ptr<Fiber>> spare;
  return spare;
}

/// Plays the threads of one block after another on this host thread; where blocks run at the same
/// time, of one group of blocks after another.
class BlockRunner {
 public:
  BlockRunner(const LaunchShape& shape, const PreparedKernel& kernel, int clock_khz)
      : shape_(shape), kernel_(kernel), clock_khz_(clock_khz) {
    pthread_attr_t attributes;
    void* bottom = nullptr;
    if (::pthread_getattr_np(::pthread_self(), &attributes) == 0) {
      ::pthread_attr_getstack(&attributes, &bottom, &main_.bytes);
      ::pthread_attr_destroy(&attributes);
    }
    main_.bottom = bottom;
  }

  KernelEnd run() {
    fibers_.swap(spare_fibers());
    for (const auto& fiber : fibers_) idle_.push_back(fiber.get());
    position.block_size = shape_.block;
    position.grid_size = shape_.grid;
    threads_ = shape_.block.x * shape_.block.y * shape_.block.z;
    shared_.resize(group_blocks() * shared_of_block());
    running = this;
    for (unsigned z = 0; z < shape_.grid.z && error_ == 0; z += group_.z) {
      for (unsigned y = 0; y < shape_.grid.y && error_ == 0; y += group_.y) {
        for (unsigned x = 0; x < shape_.grid.x && error_ == 0; x += group_.x) {
          first_block_ = {x, y, z};
          run_group();
        }
      }
    }
    running = nullptr;
    // After an error some are in the middle of a thread: those are of no more use.
    if (error_ == 0) spare_fibers().swap(fibers_);
    return {error_, seconds_};
  }

  void barrier() { wait_among(waiting_); }
  void group_barrier() { wait_among(waiting_for_group_); }
  unsigned group_blocks() const { return group_.x * group_.y * group_.z; }

  long long clock() {
    const auto now = std::chrono::steady_clock::now();
    if (!started_) {
      started_ = true;
      start_ = now;
    } else if (++looks_ % 16 == 0) {
      // A kernel that watches the clock is passing time: it must not take a core to do so.
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    const auto passed = std::chrono::steady_clock::now() - start_;
    seconds_ = std::chrono::duration<double>(passed).count();
    return static_cast<long long>(seconds_ * 1e3 * clock_khz_);
  }
  double seconds() const { return seconds_; }
  void* shared_memory(unsigned rank) { return &shared_[rank * shared_of_block()]; }

  /// Ends the kernel with an error, from within one of its threads.
  [[noreturn]] void abort(int error) {
    error_ = error;
    current_->leave(main_);
    std::abort();
  }

 private:
  static void fiber_main() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
    // A fiber outlives the kernel that it was made for: it asks anew who it works for.
    for (;;) {
      running->play();
      running->rest();
    }
  }
  std::size_t shared_of_block() const { return shape_.shared_bytes / sizeof(shared_[0]) + 1; }
  void wait_among(std::vector<Fiber*>& waiting) {
    Fiber& self = *current_;
    self.thread = position.thread;
    self.block = position.block;
    self.rank = position.rank;
    waiting.push_back(&self);
    self.leave(main_);
    position.thread = self.thread;
    position.block = self.block;
    position.rank = self.rank;
  }
  [[gnu::noinline]] void play() {
    while (next_ < threads_ * group_blocks()) {
      const unsigned rank = next_ / threads_;
      const unsigned number = next_++ % threads_;
      position.rank = rank;
      position.block = {first_block_.x + rank % group_.x,
                        first_block_.y + rank / group_.x % group_.y,
                        first_block_.z + rank / (group_.x * group_.y)};
      position.thread = {number % shape_.block.x, number / shape_.block.x % shape_.block.y,
                         number / (shape_.block.x * shape_.block.y)};
      kernel_.thread();
    }
  }
  [[gnu::noinline]] void rest() {
    idle_.push_back(current_);
    current_->leave(main_);
  }
  void enter(Fiber* fiber) {
    current_ = fiber;
    fiber->enter(main_);
  }
  void run_group() {
    next_ = 0;
    for (;;) {
      while (next_ < threads_ * group_blocks() && error_ == 0) enter(take_idle());
      // Every thread is done or waits: in each block for its own barrier, or all for the group's.
      std::vector<Fiber*>& ready = waiting_.empty() ? waiting_for_group_ : waiting_;
      if (ready.empty() || error_ != 0) break;
      std::vector<Fiber*> released;
      released.swap(ready);
      for (Fiber* fiber : released) {
        if (error_ == 0) enter(fiber);
      }
    }
  }
  Fiber* take_idle() {
    if (idle_.empty()) {
      fibers_.push_back(std::make_unique<Fiber>(&fiber_main));
      return fibers_.back().get();
    }
    Fiber* fiber = idle_.back();
    idle_.pop_back();
    return fiber;
  }

  const LaunchShape& shape_;
  const PreparedKernel& kernel_;
  const int clock_khz_;
  const dim3 group_ = shape_.cooperative ? shape_.grid : shape_.cluster;
  uint3 first_block_{0, 0, 0};
  std::vector<ulonglong2> shared_;
  MainStack main_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_, waiting_, waiting_for_group_;
  Fiber* current_ = nullptr;
  unsigned threads_ = 0, next_ = 0;
  int error_ = 0;
  bool started_ = false;
  unsigned looks_ = 0;
  std::chrono::steady_clock::time_point start_;
  double seconds_ = 0;
};

struct sigaction previous_action;

void on_bad_access(int signal, siginfo_t* info, void* context) {
  if (running != nullptr) running->abort(cudaErrorIllegalAddress);
  // Not a kernel's: whoever was there before decides.
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
    previous_action.sa_sigaction(signal, info, context);
  } else {
    std::signal(signal, SIG_DFL);
  }
}

void catch_bad_accesses() {
  static const bool once = [] {
    struct sigaction action {};
    action.sa_sigaction = on_bad_access;
    // Not deferred: the handler leaves for another stack and does not return.
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    ::sigaction(SIGSEGV, &action, &previous_action);
    return true;
  }();
  static_cast<void>(once);
}

const std::map<std::string, Kernel, std::less<>>& kernel_table() {
  static const auto* table = [] {
    auto* made = new std::map<std::string, Kernel, std::less<>>;
    for (const Kernel& kernel : all_kernels()) {
      Dl_info info{};
      if (::dladdr(kernel.function, &info) == 0 || info.dli_sname == nullptr) {
        throw std::runtime_error(std::string("the kernel ") + kernel.name + " has no symbol");
      }
      made->emplace(info.dli_sname, kernel);
    }
    return made;
  }();
  return *table;
}

}  // namespace

// Here and not in the header, where every kernel of the tables would have a copy of it.
void PreparedKernel::note(const PointerArgument& argument) { pointers.push_back(argument); }

void block_barrier() { running->barrier(); }
long long device_clock() { return running->clock(); }
long long device_nanoseconds() {
  device_clock();
  return static_cast<long long>(running->seconds() * 1e9);
}
void device_sleep(unsigned nanoseconds) {
  std::this_thread::sleep_for(std::chrono::nanoseconds(nanoseconds));
  device_clock();
}
void device_trap() { running->abort(cudaErrorLaunchFailure); }

void* find_constant(const char* mangled) {
  // The loader knows the address of a thread's own copy, of this library's symbols only.
  static void* const self = [] {
    Dl_info info{};
    ::dladdr(reinterpret_cast<const void*>(&find_constant), &info);
    return ::dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  }();
  return ::dlsym(self, mangled);
}

const Kernel* find_kernel(std::string_view mangled) {
  const auto found = kernel_table().find(mangled);
  return found == kernel_table().end() ? nullptr : &found->second;
}

std::vector<std::string> kernel_symbols() {
  std::vector<std::string> symbols;
  for (const auto& [symbol, kernel] : kernel_table()) symbols.push_back(symbol);
  return symbols;
}

KernelEnd run_kernel(const LaunchShape& shape, const PreparedKernel& kernel, int clock_khz) {
  catch_bad_accesses();
  return BlockRunner(shape, kernel, clock_khz).run();
}

}  // namespace conformance::sim

namespace conformance::kernels {

void* dynamic_shared_memory() { return sim::running->shared_memory(sim::position.rank); }
void grid_barrier() { sim::running->group_barrier(); }
void cluster_barrier() { sim::running->group_barrier(); }
unsigned cluster_blocks() { return sim::running->group_blocks(); }
unsigned cluster_rank() { return sim::position.rank; }
bool bulk_copy_to_shared(void* shared, const void* global, unsigned bytes) {
  // Of all the block's threads the first makes the copy; the others wait for it.
  if (sim::position.thread.x == 0) std::memcpy(shared, global, bytes);
  sim::block_barrier();
  return true;
}
void bulk_copy_to_global(void* global, const void* shared, unsigned bytes) {
  sim::block_barrier();
  if (sim::position.thread.x == 0) std::memcpy(global, shared, bytes);
}
void* in_block_of_cluster(void* shared, unsigned rank) {
  const auto offset = static_cast<char*>(shared) - static_cast<char*>(dynamic_shared_memory());
  return static_cast<char*>(sim::running->shared_memory(rank)) + offset;
}
void device_assert_failed() { sim::running->abort(cudaErrorAssert); }

}  // namespace conformance::kernels
