#include "suites/runtime/error_codes.h"

#include <fmt/format.h>

#include "fixtures/test.h"

namespace conformance::runtime {

void expect_code(cudaError_t found, cudaError_t expected, std::string_view call,
                 const Subject& subject, const FindingKind& kind) {
  expect(found == expected,
         Finding(kind, subject,
                 fmt::format("{} returned {} ({}), not {} ({})", call, cudaGetErrorName(found),
                             static_cast<int>(found), cudaGetErrorName(expected),
                             static_cast<int>(expected)),
                 {{"call", std::string(call)},
                  {"found", std::int64_t{found}},
                  {"expected", std::int64_t{expected}}}));
  verified(1, "error codes");
}

void expect_refused_launch(cudaError_t found, std::string_view what, const Subject& subject) {
  cudaGetLastError();
  expect(found == cudaErrorInvalidConfiguration || found == cudaErrorInvalidValue,
         Finding(wrong_error_code, subject,
                 fmt::format("{} returned {} ({}), neither cudaErrorInvalidConfiguration nor "
                             "cudaErrorInvalidValue",
                             what, cudaGetErrorName(found), static_cast<int>(found)),
                 {{"call", std::string(what)}, {"found", std::int64_t{found}}}));
  verified(1, "error codes");
}

}  // namespace conformance::runtime
