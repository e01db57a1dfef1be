#include "tests/simulator/core/kernel_cost.h"

#include <algorithm>
#include <cstring>
#include <map>

#include <cuda_runtime_api.h>

namespace conformance::sim {
namespace {

/// Seconds for the kernel to go once through everything its arguments point to, the ways to the
/// GPU's own memory, to each peer and to the host working at the same time.
double seconds_of(const Device& device, const PreparedKernel& kernel) {
  World& world = World::get();
  std::map<int, double> way;
  for (const PointerArgument& pointer : kernel.pointers) {
    const Location location = world.find(pointer.address);
    if (location.kind == Location::Kind::unknown) continue;
    const int place = location.kind == Location::Kind::device ? location.device : -1;
    const double rate = place == device.index() ? world.copy_rate(place, place) * 2
                                                : world.copy_rate(device.index(), place);
    way[place] += static_cast<double>(location.left(pointer.address)) / rate;
  }
  double most = 0;
  for (const auto& [place, seconds] : way) most = std::max(most, seconds);
  return most;
}

bool reachable(const Device& device, const PreparedKernel& kernel) {
  for (const PointerArgument& pointer : kernel.pointers) {
    if (pointer.address == nullptr) continue;  // harmless unless it is followed
    const Location location = World::get().find(pointer.address);
    if (location.kind == Location::Kind::unknown) return false;
    if (location.mapped) {
      // What the kernel leaves alone behind its argument is not known here.
      if (!World::get().virtual_memory().allows(pointer.address, 1, device.index(),
                                                pointer.writes)) {
        return false;
      }
    } else if (location.kind == Location::Kind::device && location.device != device.index() &&
               !device.peer_enabled(location.device)) {
      return false;
    }
  }
  return true;
}

/// What data faults change: the first output in a peer's memory, else the first output.
Location output_of(const PreparedKernel& kernel, const Device& device, PointerArgument& argument) {
  Location output;
  for (const PointerArgument& pointer : kernel.pointers) {
    const Location location = World::get().find(pointer.address);
    if (!pointer.writes || location.kind == Location::Kind::unknown) continue;
    const bool peer = location.kind == Location::Kind::device && location.device != device.index();
    if (output.kind == Location::Kind::unknown || peer) {
      output = location;
      argument = pointer;
      if (peer) break;
    }
  }
  return output;
}

}  // namespace

int peer_of(const PreparedKernel& kernel, const Device& device) {
  for (const PointerArgument& pointer : kernel.pointers) {
    const Location location = World::get().find(pointer.address);
    if (location.kind == Location::Kind::device && location.device != device.index()) {
      return location.device;
    }
  }
  return -1;
}

Outcome run_on_device(Device& device, const LaunchShape& shape, const PreparedKernel& prepared,
                      const Firing& firing) {
  if (!reachable(device, prepared)) return {kLatency, cudaErrorIllegalAddress};
  PointerArgument output;
  std::vector<char> before;
  std::size_t bytes = 0;
  if (!firing.data.empty()) {
    const Location location = output_of(prepared, device, output);
    if (location.kind != Location::Kind::unknown) bytes = location.left(output.address);
    const auto* first = static_cast<const char*>(output.address);
    if (keeps_old_bytes(firing)) before.assign(first, first + bytes);
  }
  for (const auto& [name, bytes_of_constant] : device.constants()) {
    std::memcpy(find_constant(name.c_str()), bytes_of_constant.data(), bytes_of_constant.size());
  }
  const KernelEnd end = run_kernel(shape, prepared, device.gpu().clock_khz);
  if (bytes > 0) {
    damage(firing, const_cast<void*>(output.address), bytes,
           std::min<std::size_t>(output.element_bytes, 8), before);
  }
  const double seconds = kLatency + std::max(seconds_of(device, prepared), end.device_seconds);
  return {seconds, end.error,
          World::get().take_turn(device.index(), peer_of(prepared, device), seconds * firing.slow)};
}

}  // namespace conformance::sim
