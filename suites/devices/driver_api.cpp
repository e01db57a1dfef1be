#include "suites/devices/driver_api.h"

#include <fmt/format.h>

#include "fixtures/test.h"
#include "suites/devices/findings.h"

namespace conformance::devices {
namespace {

void need(const Status& status, const Subject& subject) {
  if (status.ok()) return;
  fail_and_end(Finding(driver_unavailable, subject, status.describe(),
                       {{"code", std::int64_t{status.code()}}, {"call", status.expression()}}));
}

}  // namespace

DriverTable open_driver_api() {
  DriverTable driver = DriverTable::open();
  const Subject library{"library", "libcuda.so.1"};
  if (!driver.library().is_open()) {
    fail_and_end(Finding(driver_unavailable, library, driver.library().error()));
  }
  need(CONFORMANCE_CALL(driver.cuInit(0)), library);
  return driver;
}

void need(const Status& status, int ordinal) {
  need(status, Subject{"device", fmt::format("CUdevice {}", ordinal)});
}

}  // namespace conformance::devices
