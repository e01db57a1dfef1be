#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace conformance::report {

/// Bytes of any origin as UTF-8: what is no character becomes U+FFFD.
std::string to_utf8(std::string_view bytes);

/// For XML 1.0 and HTML, as text or inside a quoted attribute. Characters that XML cannot hold
/// become U+FFFD; line breaks and tabs stay what they are in attributes too.
std::string escape_xml(std::string_view bytes);

/// For a terminal: one line, without control characters, so that no output of a test can move the
/// cursor or set colours.
std::string printable(std::string_view bytes);

/// Breaks `text` at spaces into lines of at most `width` characters; a longer word is cut.
std::vector<std::string> wrap(std::string_view text, std::size_t width);

/// Characters, not bytes, of UTF-8 text.
std::size_t length(std::string_view text);

/// The first `width` characters, the last one an ellipsis if something was cut off.
std::string shorten(std::string_view text, std::size_t width);

/// "GPU 0" for "GPU 0 (GPU-1b2c, 00000000:06:00.0)": a subject without what tells it apart from
/// those of other hosts.
std::string_view short_name(std::string_view subject);

/// A number with the four digits that a reader compares.
std::string four_digits(double value);

/// A Unix time as "2026-01-31 12:00:00 UTC"; "unknown" for what is no time.
std::string utc(double unix_time);

}  // namespace conformance::report
