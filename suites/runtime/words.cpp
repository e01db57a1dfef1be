#include "suites/runtime/words.h"

#include <algorithm>

#include <fmt/format.h>

#include "fixtures/test.h"

namespace conformance::runtime {

void expect_all(std::span<const std::uint64_t> words, std::uint64_t expected, std::string_view what,
                const Subject& subject, const FindingKind& kind) {
  const auto first = std::find_if(words.begin(), words.end(),
                                  [&](std::uint64_t word) { return word != expected; });
  if (first != words.end()) {
    const auto wrong = static_cast<std::uint64_t>(
        words.size() - static_cast<std::size_t>(std::count(words.begin(), words.end(), expected)));
    fail(Finding(kind, subject,
                 fmt::format("{}: {} of {} words are wrong; the first, at index {}, is {:#x}, not "
                             "{:#x}",
                             what, wrong, words.size(), first - words.begin(), *first, expected),
                 {{"wrong", wrong},
                  {"first_index", static_cast<std::uint64_t>(first - words.begin())},
                  {"found", *first},
                  {"expected", expected}}));
  }
  verified(words.size(), "words");
}

}  // namespace conformance::runtime
