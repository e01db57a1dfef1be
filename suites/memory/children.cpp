#include "suites/memory/children.h"

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include <fmt/format.h>

#include "fixtures/cuda_memory.h"
#include "fixtures/cuda_stream.h"
#include "fixtures/mapped_memory.h"
#include "kernels/launch_probe.h"
#include "kernels/pattern.h"

namespace conformance::memory {
namespace {

/// What became of a kernel that touches the word at `address`.
int touch(std::uintptr_t address, bool load, std::uint64_t* word, const Stream& stream) {
  const cudaError_t launched =
      load
          ? kernels::copy_words(word, std::bit_cast<const std::uint64_t*>(address), 1, stream.get())
          : kernels::store_to(address, stream.get());
  return launched != cudaSuccess ? launched : wait_for(stream.get()).code();
}

/// The answer for one device.
std::string touch_on(int device, CUmemAccess_flags access, bool load) {
  try {
    ensure(CONFORMANCE_CALL(cudaSetDevice(device)));
    // None of these is ever destroyed: in a lost context nothing can be.
    const auto* const stream = new Stream;
    const auto* const word = new DeviceBuffer<std::uint64_t>(1);
    const auto* const cuda = new DriverTable(DriverTable::open());
    ensure(CONFORMANCE_CALL(cuda->cuInit(0)));
    const std::size_t bytes = granularity(*cuda, device);
    const auto* const range = new AddressRange(*cuda, bytes);
    const auto* const memory = new PhysicalMemory(*cuda, device, bytes);
    static_cast<void>(new Mapping(*cuda, range->at(0), *memory));
    ensure(to_status(grant(*cuda, range->at(0), bytes, device, CU_MEM_ACCESS_FLAGS_PROT_READWRITE),
                     "cuMemSetAccess"));
    const auto address = static_cast<std::uintptr_t>(range->at(0));
    const int allowed = touch(address, load, word->data(), *stream);
    const int granted = grant(*cuda, range->at(0), bytes, device, access);
    const int read = granted == CUDA_SUCCESS && access != CU_MEM_ACCESS_FLAGS_PROT_NONE
                         ? touch(address, true, word->data(), *stream)
                         : 0;
    const int tried = granted == CUDA_SUCCESS ? touch(address, load, word->data(), *stream) : 0;
    return fmt::format("{} {} {} {}\n", allowed, granted, read, tried);
  } catch (const std::exception& error) {
    return fmt::format("{}: {}\n", device, error.what());
  }
}

}  // namespace

int touch_mapping(std::span<const std::string> arguments) {
  if (arguments.size() != 3) return 2;
  const auto access = static_cast<CUmemAccess_flags>(std::atoi(arguments[0].c_str()));
  fmt::print("{}", touch_on(std::atoi(arguments[2].c_str()), access, arguments[1] == "load"));
  std::fflush(stdout);
  // At once: what was left behind above is no leak.
  std::_Exit(0);
}

}  // namespace conformance::memory
