#pragma once

#include "fixtures/driver_table.h"

namespace conformance::devices {

/// The driver API, initialised. If it does not answer, the test ends with a finding.
DriverTable open_driver_api();
/// A call that must succeed for device `ordinal`; otherwise the test ends with a finding.
void need(const Status& status, int ordinal);

}  // namespace conformance::devices
