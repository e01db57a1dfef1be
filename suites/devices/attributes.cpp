#include <algorithm>
#include <array>
#include <functional>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "suites/devices/driver_api.h"
#include "suites/devices/findings.h"

namespace conformance::devices {
namespace {

class Attributes : public GpuTest {};

struct Attribute {
  cudaDeviceAttr runtime;
  CUdevice_attribute driver;
  std::string_view name;
};

constexpr std::array<Attribute, 26> kAttributes{{
    {cudaDevAttrMaxThreadsPerBlock, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, "threads per block"},
    {cudaDevAttrMaxBlockDimX, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, "block size in x"},
    {cudaDevAttrMaxBlockDimY, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, "block size in y"},
    {cudaDevAttrMaxBlockDimZ, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, "block size in z"},
    {cudaDevAttrMaxGridDimX, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, "grid size in x"},
    {cudaDevAttrMaxGridDimY, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, "grid size in y"},
    {cudaDevAttrMaxGridDimZ, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, "grid size in z"},
    {cudaDevAttrMaxSharedMemoryPerBlock, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK,
     "shared memory per block"},
    {cudaDevAttrMaxSharedMemoryPerBlockOptin, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
     "shared memory per block on request"},
    {cudaDevAttrMaxSharedMemoryPerMultiprocessor,
     CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, "shared memory per multiprocessor"},
    {cudaDevAttrTotalConstantMemory, CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, "constant memory"},
    {cudaDevAttrWarpSize, CU_DEVICE_ATTRIBUTE_WARP_SIZE, "warp size"},
    {cudaDevAttrMaxRegistersPerBlock, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK,
     "registers per block"},
    {cudaDevAttrMultiProcessorCount, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, "multiprocessors"},
    {cudaDevAttrMaxThreadsPerMultiProcessor, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR,
     "threads per multiprocessor"},
    {cudaDevAttrGlobalMemoryBusWidth, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH,
     "memory bus width"},
    {cudaDevAttrL2CacheSize, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, "L2 cache"},
    {cudaDevAttrComputeCapabilityMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
     "compute capability, major"},
    {cudaDevAttrComputeCapabilityMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
     "compute capability, minor"},
    {cudaDevAttrComputeMode, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE, "compute mode"},
    {cudaDevAttrEccEnabled, CU_DEVICE_ATTRIBUTE_ECC_ENABLED, "ECC"},
    {cudaDevAttrPciBusId, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, "PCI bus"},
    {cudaDevAttrPciDeviceId, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, "PCI device"},
    {cudaDevAttrPciDomainId, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, "PCI domain"},
    {cudaDevAttrUnifiedAddressing, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, "unified addressing"},
    {cudaDevAttrAsyncEngineCount, CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, "copy engines"},
}};

void expect_equal(std::string_view what, std::int64_t runtime, std::string_view other_name,
                  std::int64_t other, const CudaDevice& device) {
  expect(runtime == other, Finding(apis_disagree, device.subject(),
                                   fmt::format("{}: cudaDeviceGetAttribute says {}, {} says {}",
                                               what, runtime, other_name, other),
                                   {{"what", std::string(what)},
                                    {"attribute", runtime},
                                    {std::string(other_name), other}}));
  verified(1, "attributes");
}

int runtime_attribute(cudaDeviceAttr attribute, int ordinal) {
  int value = 0;
  ensure(CONFORMANCE_CALL(cudaDeviceGetAttribute(&value, attribute, ordinal)));
  return value;
}

bool is_named(int number) {
  return std::any_of(kAttributes.begin(), kAttributes.end(), [&](const Attribute& attribute) {
    return static_cast<int>(attribute.driver) == number;
  });
}

// An attribute bears the same number in both interfaces.
static_assert(std::all_of(kAttributes.begin(), kAttributes.end(), [](const Attribute& attribute) {
  return static_cast<int>(attribute.runtime) == static_cast<int>(attribute.driver);
}));

/// One GPU after another and without making it the current one: that would make a context on it,
/// for which there is no use here.
void for_each_described(const CudaInventory& devices,
                        const std::function<void(const CudaDevice&)>& work) {
  for (const CudaDevice& device : devices) guarded(device.subject(), [&] { work(device); });
}

TEST_F(Attributes, TheDriverApiGivesTheSameValues) {
  claim(
      "cudaDeviceGetAttribute and cuDeviceGetAttribute give the same value for the same attribute",
      "CUDA Runtime API: Interactions with the CUDA Driver API; cudaDeviceGetAttribute");
  const CudaInventory& devices = require(Devices{1});
  const DriverTable driver = open_driver_api();
  for_each_described(devices, [&](const CudaDevice& device) {
    CUdevice handle = 0;
    need(CONFORMANCE_CALL(driver.cuDeviceGet(&handle, device.ordinal)), device.ordinal);
    for (const Attribute& attribute : kAttributes) {
      int value = 0;
      need(CONFORMANCE_CALL(driver.cuDeviceGetAttribute(&value, attribute.driver, handle)),
           device.ordinal);
      expect_equal(attribute.name, runtime_attribute(attribute.runtime, device.ordinal),
                   "cuDeviceGetAttribute", value, device);
    }
  });
}

TEST_F(Attributes, ThePropertiesGiveTheSameValues) {
  claim("cudaGetDeviceProperties gives the values of the attributes that its members stand for",
        "CUDA Runtime API, Device Management: cudaGetDeviceProperties, cudaDeviceGetAttribute");
  for_each_described(require(Devices{1}), [](const CudaDevice& device) {
    cudaDeviceProp properties{};
    ensure(CONFORMANCE_CALL(cudaGetDeviceProperties(&properties, device.ordinal)));
    const auto same = [&](std::string_view what, cudaDeviceAttr attribute, auto value) {
      expect_equal(what, runtime_attribute(attribute, device.ordinal), "cudaGetDeviceProperties",
                   static_cast<std::int64_t>(value), device);
    };
    same("threads per block", cudaDevAttrMaxThreadsPerBlock, properties.maxThreadsPerBlock);
    same("block size in x", cudaDevAttrMaxBlockDimX, properties.maxThreadsDim[0]);
    same("block size in y", cudaDevAttrMaxBlockDimY, properties.maxThreadsDim[1]);
    same("block size in z", cudaDevAttrMaxBlockDimZ, properties.maxThreadsDim[2]);
    same("grid size in x", cudaDevAttrMaxGridDimX, properties.maxGridSize[0]);
    same("grid size in y", cudaDevAttrMaxGridDimY, properties.maxGridSize[1]);
    same("grid size in z", cudaDevAttrMaxGridDimZ, properties.maxGridSize[2]);
    same("shared memory per block", cudaDevAttrMaxSharedMemoryPerBlock,
         properties.sharedMemPerBlock);
    same("shared memory per block on request", cudaDevAttrMaxSharedMemoryPerBlockOptin,
         properties.sharedMemPerBlockOptin);
    same("constant memory", cudaDevAttrTotalConstantMemory, properties.totalConstMem);
    same("warp size", cudaDevAttrWarpSize, properties.warpSize);
    same("registers per block", cudaDevAttrMaxRegistersPerBlock, properties.regsPerBlock);
    same("multiprocessors", cudaDevAttrMultiProcessorCount, properties.multiProcessorCount);
    same("threads per multiprocessor", cudaDevAttrMaxThreadsPerMultiProcessor,
         properties.maxThreadsPerMultiProcessor);
    same("memory bus width", cudaDevAttrGlobalMemoryBusWidth, properties.memoryBusWidth);
    same("L2 cache", cudaDevAttrL2CacheSize, properties.l2CacheSize);
    same("compute capability, major", cudaDevAttrComputeCapabilityMajor, properties.major);
    same("compute capability, minor", cudaDevAttrComputeCapabilityMinor, properties.minor);
    same("ECC", cudaDevAttrEccEnabled, properties.ECCEnabled);
    same("PCI bus", cudaDevAttrPciBusId, properties.pciBusID);
    same("PCI device", cudaDevAttrPciDeviceId, properties.pciDeviceID);
    same("PCI domain", cudaDevAttrPciDomainId, properties.pciDomainID);
    same("unified addressing", cudaDevAttrUnifiedAddressing, properties.unifiedAddressing);
    same("copy engines", cudaDevAttrAsyncEngineCount, properties.asyncEngineCount);
  });
}

TEST_F(Attributes, NumbersWithoutANameHereGiveTheSameValues) {
  claim(
      "cudaDeviceGetAttribute and cuDeviceGetAttribute give the same value for each attribute that "
      "both know",
      "CUDA Runtime API: Interactions with the CUDA Driver API; CUDA Driver API: "
      "CUdevice_attribute");
  const CudaInventory& devices = require(Devices{1});
  const DriverTable driver = open_driver_api();
  for_each_described(devices, [&](const CudaDevice& device) {
    CUdevice handle = 0;
    need(CONFORMANCE_CALL(driver.cuDeviceGet(&handle, device.ordinal)), device.ordinal);
    for (int number = 1; number < CU_DEVICE_ATTRIBUTE_MAX; ++number) {
      int runtime = 0, other = 0;
      // A number that one of the two does not answer, such as a reserved one, or one that is newer
      // than the driver, is no attribute of both.
      const bool both = cudaDeviceGetAttribute(&runtime, static_cast<cudaDeviceAttr>(number),
                                               device.ordinal) == cudaSuccess &&
                        driver.cuDeviceGetAttribute(&other, static_cast<CUdevice_attribute>(number),
                                                    handle) == CUDA_SUCCESS;
      cudaGetLastError();  // a refused number would be the next call's "last error"
      if (!both || is_named(number)) continue;
      expect_equal(fmt::format("attribute {}", number), runtime, "cuDeviceGetAttribute", other,
                   device);
    }
  });
}

}  // namespace
}  // namespace conformance::devices
