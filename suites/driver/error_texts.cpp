#include <set>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "suites/driver/driver_test.h"
#include "suites/driver/findings.h"

namespace conformance::driver {
namespace {

/// An enumerator of CUresult in the header that the suite was built with.
struct Code {
  CUresult code;
  std::string_view name;
};
constexpr Code kCodes[] = {
#include "cuda_names/driver_codes.inc"
};

class ErrorTexts : public DriverTest {
 protected:
  /// Asks for the text of each code and hands it on; codes that the driver does not know, because
  /// it is older than the header, are left out.
  template <typename Function, typename Check>
  void for_each_text(const DriverTable& table, const Function& function, Check check) {
    int supported = 0;
    const Status status = CONFORMANCE_CALL(table.cuDriverGetVersion(&supported));
    if (!status.ok()) {
      fail_and_end(Finding(not_a_driver, library_subject(table.library()), status.describe()));
    }
    for (const Code& code : kCodes) {
      const char* text = nullptr;
      const CUresult answer = function(code.code, &text);
      // The header does not say since when a code exists.
      if (supported < CUDA_VERSION && answer == CUDA_ERROR_INVALID_VALUE) continue;
      check(code, answer == CUDA_SUCCESS && text != nullptr ? text : "",
            to_status(answer, fmt::format("{}({})", function.name(), code.name)));
    }
  }
  static Finding wrong(const DriverTable& table, std::string detail) {
    return {error_text_wrong, library_subject(table.library()), std::move(detail)};
  }
};

TEST_F(ErrorTexts, CodesHaveTheirDocumentedNames) {
  claim("cuGetErrorName yields the name of each code as the enumeration CUresult spells it",
        "CUDA Driver API, Error Handling: cuGetErrorName");
  const DriverTable table = driver();
  for_each_text(
      table, table.cuGetErrorName,
      [&](const Code& code, std::string_view text, const Status& status) {
        if (expect(text == code.name,
                   wrong(table, fmt::format("{} gave \"{}\" as the name of code {}",
                                            status.ok() ? "cuGetErrorName" : status.describe(),
                                            text, static_cast<int>(code.code))))) {
          verified(1, "names");
        }
      });
}

TEST_F(ErrorTexts, CodesHaveSentencesThatTellThemApart) {
  claim("cuGetErrorString yields a description of each code",
        "CUDA Driver API, Error Handling: cuGetErrorString");
  const DriverTable table = driver();
  std::set<std::string> sentences;
  std::size_t codes = 0;
  std::string success;
  for_each_text(table, table.cuGetErrorString,
                [&](const Code& code, std::string_view text, const Status& status) {
                  ++codes;
                  sentences.emplace(text);
                  if (code.code == CUDA_SUCCESS) success = text;
                  const bool told = !text.empty() && (code.code == CUDA_SUCCESS || text != success);
                  if (expect(told, wrong(table, fmt::format("{}: \"{}\" does not describe {}",
                                                            status.ok() ? "cuGetErrorString"
                                                                        : status.describe(),
                                                            text, code.name)))) {
                    verified(1, "sentences");
                  }
                });
  // Some codes share a sentence on purpose, such as the two for a bad image.
  expect(2 * sentences.size() > codes,
         wrong(table,
               fmt::format("{} codes have only {} different sentences", codes, sentences.size())));
}

TEST_F(ErrorTexts, ACodeThatDoesNotExistIsRefused) {
  claim(
      "cuGetErrorName and cuGetErrorString return CUDA_ERROR_INVALID_VALUE for a code that is "
      "none, "
      "and set the text to null",
      "CUDA Driver API, Error Handling: cuGetErrorName, cuGetErrorString");
  const DriverTable table = driver();
  // The highest value that the enumeration's type can hold.
  constexpr auto kNone = static_cast<CUresult>(1023);
  const auto check = [&](const auto& function) {
    const char* text = "untouched";
    const CUresult answer = function(kNone, &text);
    if (expect(answer == CUDA_ERROR_INVALID_VALUE && text == nullptr,
               wrong(table,
                     fmt::format("{}(1023) returned {} and {}", function.name(),
                                 to_status(answer, "").name(), text == nullptr ? "null" : text)))) {
      verified(1, "calls");
    }
  };
  check(table.cuGetErrorName);
  check(table.cuGetErrorString);
}

}  // namespace
}  // namespace conformance::driver
