#pragma once

#include <string>

#include "ci/report/journals.h"

namespace conformance::report {

/// results.json as JUnit XML: a test suite per CTest entry, figures and facts as properties. Always
/// well-formed, whatever the journals held.
std::string junit(const Json& results);

}  // namespace conformance::report
