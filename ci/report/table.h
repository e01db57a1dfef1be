#pragma once

#include <string>

#include "ci/report/journals.h"

namespace conformance::report {

/// results.json for a terminal: the verdict and the first finding on top, no line wider than 120
/// characters. `where` is the folder of the reports.
std::string table(const Json& results, const std::string& where, bool colours);

}  // namespace conformance::report
