#pragma once

#include <string>

#include "ci/report/journals.h"

namespace conformance::report {

/// results.json as JUnit XML, in the form that the readers of Jenkins, GitLab and GitHub have in
/// common: a test suite per CTest entry, with figures and facts as its properties; claims, counts
/// and figures with their bounds as the output of each test. Well-formed whatever the journals
/// held.
std::string junit(const Json& results);

}  // namespace conformance::report
