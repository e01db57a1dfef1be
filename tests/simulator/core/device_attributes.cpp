#include "tests/simulator/core/device_attributes.h"

#include <cstdio>
#include <cstring>

#include <cuda.h>

namespace conformance::sim {

bool peers_reach(const Machine& machine, int from, int to) {
  return from != to && machine.link(from, to).kind != Link::Kind::none;
}

void fill_properties(const Gpu& gpu, cudaDeviceProp& properties) {
  properties = {};
  std::snprintf(properties.name, sizeof(properties.name), "%s", gpu.name.c_str());
  const char* digit = gpu.uuid.c_str() + std::strlen("GPU-");
  for (char& byte : properties.uuid.bytes) {
    if (*digit == '-') ++digit;
    unsigned value = 0;
    std::sscanf(digit, "%2x", &value);
    byte = static_cast<char>(value);
    digit += 2;
  }
  properties.totalGlobalMem = gpu.memory_bytes;
  properties.sharedMemPerBlock = kSharedBytes;
  properties.sharedMemPerBlockOptin = kSharedOptInBytes;
  properties.sharedMemPerMultiprocessor = 228 * 1024;
  properties.reservedSharedMemPerBlock = 1024;
  properties.regsPerBlock = properties.regsPerMultiprocessor = 65536;
  properties.warpSize = 32;
  properties.memPitch = 2147483647;
  properties.maxThreadsPerBlock = kMostThreads;
  properties.maxThreadsDim[0] = properties.maxThreadsDim[1] = 1024;
  properties.maxThreadsDim[2] = 64;
  properties.maxGridSize[0] = 2147483647;
  properties.maxGridSize[1] = properties.maxGridSize[2] = 65535;
  properties.maxThreadsPerMultiProcessor = 2048;
  properties.maxBlocksPerMultiProcessor = 32;
  properties.totalConstMem = 65536;
  properties.major = gpu.major;
  properties.minor = gpu.minor;
  properties.textureAlignment = 512;
  properties.texturePitchAlignment = 32;
  properties.multiProcessorCount = gpu.multiprocessors;
  properties.canMapHostMemory = 1;
  properties.concurrentKernels = 1;
  properties.ECCEnabled = gpu.ecc ? 1 : 0;
  properties.pciBusID = static_cast<int>(gpu.pci_bus);
  properties.pciDeviceID = static_cast<int>(gpu.pci_device);
  properties.pciDomainID = static_cast<int>(gpu.pci_domain);
  properties.asyncEngineCount = 3;
  properties.unifiedAddressing = 1;
  properties.managedMemory = gpu.managed_memory ? 1 : 0;
  properties.memoryBusWidth = gpu.memory_bus_bits;
  properties.l2CacheSize = static_cast<int>(gpu.l2_bytes);
  properties.streamPrioritiesSupported = 1;
  properties.globalL1CacheSupported = properties.localL1CacheSupported = 1;
  properties.computePreemptionSupported = 1;
  properties.canUseHostPointerForRegisteredMem = 1;
  properties.hostRegisterSupported = 1;
  properties.memoryPoolsSupported = 1;
  properties.ipcEventSupported = 1;
  properties.cooperativeLaunch = 1;
  properties.clusterLaunch = gpu.major >= 9 ? 1 : 0;
}

std::optional<int> attribute_of(const Gpu& gpu, int attribute) {
  cudaDeviceProp properties;
  fill_properties(gpu, properties);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      return properties.maxThreadsPerBlock;
    case cudaDevAttrMaxBlockDimX:
      return properties.maxThreadsDim[0];
    case cudaDevAttrMaxBlockDimY:
      return properties.maxThreadsDim[1];
    case cudaDevAttrMaxBlockDimZ:
      return properties.maxThreadsDim[2];
    case cudaDevAttrMaxGridDimX:
      return properties.maxGridSize[0];
    case cudaDevAttrMaxGridDimY:
      return properties.maxGridSize[1];
    case cudaDevAttrMaxGridDimZ:
      return properties.maxGridSize[2];
    case cudaDevAttrMaxSharedMemoryPerBlock:
      return static_cast<int>(properties.sharedMemPerBlock);
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      return static_cast<int>(properties.sharedMemPerBlockOptin);
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      return static_cast<int>(properties.sharedMemPerMultiprocessor);
    case cudaDevAttrReservedSharedMemoryPerBlock:
      return static_cast<int>(properties.reservedSharedMemPerBlock);
    case cudaDevAttrTotalConstantMemory:
      return static_cast<int>(properties.totalConstMem);
    case cudaDevAttrWarpSize:
      return properties.warpSize;
    case cudaDevAttrMaxPitch:
      return static_cast<int>(properties.memPitch);
    case cudaDevAttrMaxRegistersPerBlock:
      return properties.regsPerBlock;
    case cudaDevAttrMaxRegistersPerMultiprocessor:
      return properties.regsPerMultiprocessor;
    case cudaDevAttrClockRate:
      return gpu.clock_khz;
    case cudaDevAttrMemoryClockRate:
      return gpu.memory_clock_khz;
    case cudaDevAttrGlobalMemoryBusWidth:
      return gpu.memory_bus_bits;
    case cudaDevAttrL2CacheSize:
      return static_cast<int>(gpu.l2_bytes);
    case cudaDevAttrMultiProcessorCount:
      return gpu.multiprocessors;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      return properties.maxThreadsPerMultiProcessor;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      return properties.maxBlocksPerMultiProcessor;
    case cudaDevAttrComputeCapabilityMajor:
      return gpu.major;
    case cudaDevAttrComputeCapabilityMinor:
      return gpu.minor;
    case cudaDevAttrEccEnabled:
      return properties.ECCEnabled;
    case cudaDevAttrManagedMemory:
      return properties.managedMemory;
    case cudaDevAttrPciBusId:
      return properties.pciBusID;
    case cudaDevAttrPciDeviceId:
      return properties.pciDeviceID;
    case cudaDevAttrPciDomainId:
      return properties.pciDomainID;
    case cudaDevAttrAsyncEngineCount:
      return properties.asyncEngineCount;
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrCanMapHostMemory:
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrStreamPrioritiesSupported:
    case cudaDevAttrGlobalL1CacheSupported:
    case cudaDevAttrLocalL1CacheSupported:
    case cudaDevAttrComputePreemptionSupported:
    case cudaDevAttrCanUseHostPointerForRegisteredMem:
    case cudaDevAttrHostRegisterSupported:
    case cudaDevAttrMemoryPoolsSupported:
    case cudaDevAttrIpcEventSupport:
    case cudaDevAttrCooperativeLaunch:
      return 1;
    // The runtime has no names for these.
    case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED:
      return 1;
    case cudaDevAttrClusterLaunch:
      return properties.clusterLaunch;
    case cudaDevAttrTextureAlignment:
      return static_cast<int>(properties.textureAlignment);
    case cudaDevAttrTexturePitchAlignment:
      return static_cast<int>(properties.texturePitchAlignment);
    case cudaDevAttrSingleToDoublePrecisionPerfRatio:
      return 2;
    case cudaDevAttrComputeMode: {
      const auto mode = gpu.nvml.find("compute_mode");
      return mode == gpu.nvml.end() ? 0 : static_cast<int>(mode->second);
    }
    default:
      // Every other capability is one that the simulator does not have.
      return attribute >= 1 && attribute < cudaDevAttrMax ? std::optional<int>(0) : std::nullopt;
  }
}

}  // namespace conformance::sim
