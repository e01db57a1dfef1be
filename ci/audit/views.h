#pragma once

#include <string>

#include "ci/audit/examine.h"

namespace conformance::audit {

/// For the terminal: each file with what it carries and needs, and at the end what that makes.
std::string audit_text(const Audit& audit, const Host& host);
/// The same for programs; its version is in it.
std::string audit_json(const Audit& audit, const Host& host);

}  // namespace conformance::audit
