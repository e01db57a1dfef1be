#include "suites/driver/children.h"

#include <vector>

#include <fmt/format.h>

#include "fixtures/driver_table.h"
#include "fixtures/library.h"
#include "fixtures/process_libraries.h"

namespace conformance::driver {

int count_devices(std::span<const std::string> /*arguments*/) {
  const DriverTable table = DriverTable::open();
  int count = 0;
  CUresult code = table.cuInit(0);
  if (code == CUDA_SUCCESS) code = table.cuDeviceGetCount(&count);
  fmt::print("{{\"code\": {}, \"count\": {}}}\n", static_cast<int>(code), count);
  return 0;
}

int load_libraries(std::span<const std::string> names) {
  std::vector<Library> open;
  open.reserve(names.size());
  for (const std::string& name : names) open.push_back(Library::open(name));
  for (const ProcessLibrary& library : process_libraries()) {
    fmt::print("{}\t{}\t{}\n", library.name, library.place.path, library.place.real_path);
  }
  return 0;
}

}  // namespace conformance::driver
