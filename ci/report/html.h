#pragma once

#include <string>

#include "ci/report/journals.h"

namespace conformance::report {

/// results.json as one page that needs no other file and runs no script.
std::string html(const Json& results);

}  // namespace conformance::report
