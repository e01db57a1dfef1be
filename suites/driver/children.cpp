#include "suites/driver/children.h"

#include <fmt/format.h>

#include "fixtures/driver_table.h"

namespace conformance::driver {

int count_devices(std::span<const std::string> /*arguments*/) {
  const DriverTable table = DriverTable::open();
  int count = 0;
  CUresult code = table.cuInit(0);
  if (code == CUDA_SUCCESS) code = table.cuDeviceGetCount(&count);
  fmt::print("{{\"code\": {}, \"count\": {}}}\n", static_cast<int>(code), count);
  return 0;
}

}  // namespace conformance::driver
