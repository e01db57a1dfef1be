#pragma once

#include <string>

#include "ci/report/journals.h"

namespace conformance::report {

/// results.json as gauges in the text format of Prometheus, for the textfile collector of
/// node_exporter. That collector refuses samples with times of their own, so times are gauges too.
std::string metrics(const Json& results);

/// The figures of an entry as the lines by which CTest takes measurements from a test's output and
/// hands them to a dashboard.
std::string measurements(const EntryRecord& record);

}  // namespace conformance::report
