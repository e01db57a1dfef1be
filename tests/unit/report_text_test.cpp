#include <string>

#include <gtest/gtest.h>

#include "ci/report/text.h"

namespace conformance::report {
namespace {

TEST(ReportText, WhatXmlReservesIsEscaped) {
  EXPECT_EQ(escape_xml(R"(<a b="c" d='e'>&]]>)"),
            "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;]]&gt;");
}

TEST(ReportText, ControlCharactersAreReplacedAndLineBreaksKept) {
  EXPECT_EQ(escape_xml(std::string_view("a\0b\x1b[31m\n\t\x7f", 11)),
            "a\uFFFDb\uFFFD[31m&#10;&#9;\uFFFD");
}

TEST(ReportText, InvalidUtf8IsReplacedByteByByte) {
  EXPECT_EQ(to_utf8("a\xff\xc3z"), "a\uFFFD\uFFFDz");
  EXPECT_EQ(to_utf8("\xc0\x80"), "\uFFFD\uFFFD");                      // overlong NUL
  EXPECT_EQ(to_utf8("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");            // a surrogate
  EXPECT_EQ(to_utf8("\xf4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // above U+10FFFF
  EXPECT_EQ(to_utf8("\xe2\x82"), "\uFFFD\uFFFD");                      // cut off
  EXPECT_EQ(to_utf8("GPU 0 → GPU 1 😀"), "GPU 0 → GPU 1 😀");
}

TEST(ReportText, NonCharactersThatXmlForbidsAreReplaced) {
  EXPECT_EQ(escape_xml("\uFFFE\uFFFF"), "\uFFFD\uFFFD");
}

TEST(ReportText, NothingPrintedMovesTheCursor) {
  EXPECT_EQ(printable("a\x1b[2Jb\r\nc\u009bd"), "a [2Jb  c d");
}

TEST(ReportText, WrappingBreaksAtSpacesAndCutsLongWords) {
  EXPECT_EQ(wrap("one two three", 7), (std::vector<std::string>{"one two", "three"}));
  EXPECT_EQ(wrap("abcdefghij", 4), (std::vector<std::string>{"abcd", "efgh", "ij"}));
  EXPECT_EQ(wrap("", 4), (std::vector<std::string>{""}));
  EXPECT_EQ(wrap("→→→ →", 3), (std::vector<std::string>{"→→→", "→"}));
}

TEST(ReportText, ShorteningCountsCharacters) {
  EXPECT_EQ(shorten("→→→", 3), "→→→");
  EXPECT_EQ(shorten("→→→→", 3), "→→…");
}

TEST(ReportText, ASubjectsShortNameIsWithoutItsBrackets) {
  EXPECT_EQ(short_name("GPU 0 (GPU-1b2c, 00000000:06:00.0)"), "GPU 0");
  EXPECT_EQ(short_name("GPU 0 -> GPU 1 (a -> b)"), "GPU 0 -> GPU 1");
  for (const char* name : {"", "all GPUs", "(x)", " (x)", "a (b) c"}) {
    EXPECT_EQ(short_name(name), name);
  }
}

TEST(ReportText, NumbersHaveTheFourDigitsThatCount) {
  EXPECT_EQ(four_digits(4683.3318), "4683");
  EXPECT_EQ(four_digits(142643.2), "142643");
  EXPECT_EQ(four_digits(0.00034516641), "0.0003452");
  EXPECT_EQ(four_digits(395.0), "395");
  EXPECT_EQ(four_digits(1e300), "1e+300");
}

TEST(ReportText, AnyNumberMakesATime) {
  EXPECT_EQ(utc(0), "1970-01-01 00:00:00 UTC");
  EXPECT_EQ(utc(-1), "unknown");
  EXPECT_EQ(utc(1e300), "unknown");
}

}  // namespace
}  // namespace conformance::report
