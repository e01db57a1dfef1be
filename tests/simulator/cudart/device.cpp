#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

#include "tests/simulator/core/device_attributes.h"
#include "tests/simulator/cudart/api.h"

namespace conformance::sim::cudart {

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  if (count == nullptr) return remember(cudaErrorInvalidValue);
  *count = 0;
  return api("cudaGetDeviceCount", [&](const Firing& firing) {
    *count = firing.value ? static_cast<int>(*firing.value)
                          : static_cast<int>(World::get().visible().size());
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int ordinal) {
  Device* device = start() == cudaSuccess ? device_at(ordinal) : nullptr;
  return api("cudaSetDevice",
             [&](const Firing&) {
               if (device == nullptr) return cudaErrorInvalidDevice;
               current_ordinal() = ordinal;
               return static_cast<cudaError_t>(device->lost());
             },
             {"", device == nullptr ? -1 : device->index()});
}

cudaError_t cudaGetDevice(int* ordinal) {
  return api("cudaGetDevice", [&](const Firing&) {
    if (ordinal == nullptr) return cudaErrorInvalidValue;
    *ordinal = current_ordinal();
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int ordinal) {
  Device* device = start() == cudaSuccess ? device_at(ordinal) : nullptr;
  return api("cudaGetDeviceProperties",
             [&](const Firing&) {
               if (properties == nullptr) return cudaErrorInvalidValue;
               if (device == nullptr) return cudaErrorInvalidDevice;
               fill_properties(device->gpu(), *properties);
               return cudaSuccess;
             },
             {"", device == nullptr ? -1 : device->index()});
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int ordinal) {
  Device* device = start() == cudaSuccess ? device_at(ordinal) : nullptr;
  return api("cudaDeviceGetAttribute",
             [&](const Firing& firing) {
               if (value == nullptr) return cudaErrorInvalidValue;
               if (device == nullptr) return cudaErrorInvalidDevice;
               if (firing.value) {
                 *value = static_cast<int>(*firing.value);
                 return cudaSuccess;
               }
               const std::optional<int> answer = attribute_of(device->gpu(), attribute);
               if (!answer) return cudaErrorInvalidValue;
               *value = *answer;
               return cudaSuccess;
             },
             {"", device == nullptr ? -1 : device->index()});
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int ordinal) {
  return api("cudaDeviceGetPCIBusId", [&](const Firing&) {
    Device* device = device_at(ordinal);
    if (device == nullptr) return cudaErrorInvalidDevice;
    const std::string id = device->gpu().pci_bus_id().substr(4);
    if (text == nullptr || length <= static_cast<int>(id.size())) return cudaErrorInvalidValue;
    // Unlike /sys and /proc, the runtime writes capitals.
    std::transform(id.begin(), id.end(), text,
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    text[id.size()] = '\0';
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetByPCIBusId(int* ordinal, const char* text) {
  return api("cudaDeviceGetByPCIBusId", [&](const Firing&) {
    unsigned domain = 0, bus = 0, device = 0, function = 0;
    if (ordinal == nullptr || text == nullptr) return cudaErrorInvalidValue;
    if (std::sscanf(text, "%x:%x:%x.%x", &domain, &bus, &device, &function) < 3) {
      domain = 0;
      if (std::sscanf(text, "%x:%x.%x", &bus, &device, &function) < 2) return cudaErrorInvalidValue;
    }
    for (const int index : World::get().visible()) {
      const Gpu& gpu = World::get().device(index).gpu();
      if (gpu.pci_domain == domain && gpu.pci_bus == bus && gpu.pci_device == device) {
        *ordinal = World::get().ordinal(index);
        return cudaSuccess;
      }
    }
    return cudaErrorInvalidDevice;
  });
}

cudaError_t cudaDriverGetVersion(int* version) {
  if (version == nullptr) return remember(cudaErrorInvalidValue);
  const Firing firing = World::get().faults().at({"cudaDriverGetVersion"});
  if (firing.code) return remember(static_cast<cudaError_t>(*firing.code));
  *version =
      firing.value ? static_cast<int>(*firing.value) : World::get().machine().cuda_driver_version;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  if (version == nullptr) return remember(cudaErrorInvalidValue);
  const Firing firing = World::get().faults().at({"cudaRuntimeGetVersion"});
  *version = firing.value ? static_cast<int>(*firing.value) : CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  return on_device("cudaDeviceSynchronize", [](Device& device, const Firing&) {
    return wait_all(device, device.pending());
  });
}

cudaError_t cudaDeviceReset() {
  return on_device("cudaDeviceReset", [](Device& device, const Firing&) {
    const cudaError_t error = wait_all(device, device.pending());
    World::get().close_imports_of(device.index());
    device.reset();
    return error;
  });
}

cudaError_t cudaSetDeviceFlags(unsigned flags) {
  return on_device("cudaSetDeviceFlags", [&](Device&, const Firing&) {
    return (flags & ~static_cast<unsigned>(cudaDeviceMask)) == 0 ? cudaSuccess
                                                                 : cudaErrorInvalidValue;
  });
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return on_device("cudaDeviceGetStreamPriorityRange", [&](Device&, const Firing&) {
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = kGreatestPriority;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetLimit(size_t* value, cudaLimit limit) {
  return on_device("cudaDeviceGetLimit", [&](Device&, const Firing&) {
    static const std::map<cudaLimit, std::size_t> kLimits{{cudaLimitStackSize, 1024},
                                                          {cudaLimitPrintfFifoSize, 1 << 20},
                                                          {cudaLimitMallocHeapSize, 8 << 20}};
    const auto found = kLimits.find(limit);
    if (value == nullptr) return cudaErrorInvalidValue;
    if (found == kLimits.end()) return cudaErrorUnsupportedLimit;
    *value = found->second;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int ordinal, int peer_ordinal) {
  Device* device = start() == cudaSuccess ? device_at(ordinal) : nullptr;
  Device* peer = start() == cudaSuccess ? device_at(peer_ordinal) : nullptr;
  return api("cudaDeviceCanAccessPeer",
             [&](const Firing& firing) {
               if (can == nullptr) return cudaErrorInvalidValue;
               if (device == nullptr || peer == nullptr) return cudaErrorInvalidDevice;
               *can = firing.value
                          ? static_cast<int>(*firing.value)
                          : peers_reach(World::get().machine(), device->index(), peer->index());
               return cudaSuccess;
             },
             {"", device == nullptr ? -1 : device->index(), peer == nullptr ? -1 : peer->index()});
}

cudaError_t cudaDeviceEnablePeerAccess(int peer_ordinal, unsigned flags) {
  Device* peer = start() == cudaSuccess ? device_at(peer_ordinal) : nullptr;
  return on_device(
      "cudaDeviceEnablePeerAccess",
      [&](Device& device, const Firing&) {
        if (flags != 0) return cudaErrorInvalidValue;
        if (peer == nullptr) return cudaErrorInvalidDevice;
        if (peer == &device ||
            !peers_reach(World::get().machine(), device.index(), peer->index())) {
          return peer == &device ? cudaErrorInvalidDevice : cudaErrorPeerAccessUnsupported;
        }
        return device.enable_peer(peer->index()) ? cudaSuccess : cudaErrorPeerAccessAlreadyEnabled;
      },
      peer == nullptr ? -1 : peer->index());
}

cudaError_t cudaDeviceDisablePeerAccess(int peer_ordinal) {
  Device* peer = start() == cudaSuccess ? device_at(peer_ordinal) : nullptr;
  return on_device(
      "cudaDeviceDisablePeerAccess",
      [&](Device& device, const Firing&) {
        if (peer == nullptr) return cudaErrorInvalidDevice;
        return device.disable_peer(peer->index()) ? cudaSuccess : cudaErrorPeerAccessNotEnabled;
      },
      peer == nullptr ? -1 : peer->index());
}

cudaError_t cudaDeviceGetP2PAttribute(int* value, cudaDeviceP2PAttr attribute, int ordinal,
                                      int peer_ordinal) {
  Device* device = start() == cudaSuccess ? device_at(ordinal) : nullptr;
  Device* peer = start() == cudaSuccess ? device_at(peer_ordinal) : nullptr;
  return api("cudaDeviceGetP2PAttribute",
             [&](const Firing& firing) {
               if (value == nullptr) return cudaErrorInvalidValue;
               if (device == nullptr || peer == nullptr || device == peer)
                 return cudaErrorInvalidDevice;
               const Machine& machine = World::get().machine();
               const bool reach = peers_reach(machine, device->index(), peer->index());
               const bool nvlink =
                   machine.link(device->index(), peer->index()).kind == Link::Kind::nvlink;
               switch (attribute) {
                 case cudaDevP2PAttrPerformanceRank:
                   *value = nvlink ? 0 : 1;
                   break;
                 case cudaDevP2PAttrAccessSupported:
                   *value = reach ? 1 : 0;
                   break;
                 case cudaDevP2PAttrNativeAtomicSupported:
                   *value = reach && nvlink ? 1 : 0;
                   break;
                 case cudaDevP2PAttrCudaArrayAccessSupported:
                   *value = reach ? 1 : 0;
                   break;
                 default:
                   return cudaErrorInvalidValue;
               }
               if (firing.value) *value = static_cast<int>(*firing.value);
               return cudaSuccess;
             },
             {"", device == nullptr ? -1 : device->index(), peer == nullptr ? -1 : peer->index()});
}

}  // extern "C"
}  // namespace conformance::sim::cudart
