#include "ci/report/text.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <ctime>

#include <fmt/format.h>

namespace conformance::report {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// One character of UTF-8, or one bad byte.
struct Character {
  std::size_t bytes = 1;
  std::uint32_t code = 0;
  bool valid = false;
};

Character decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, lead, true};
  std::size_t bytes = 0;
  std::uint32_t code = 0;
  std::uint32_t least = 0;
  if ((lead & 0xE0) == 0xC0) {
    bytes = 2, code = lead & 0x1Fu, least = 0x80;
  } else if ((lead & 0xF0) == 0xE0) {
    bytes = 3, code = lead & 0x0Fu, least = 0x800;
  } else if ((lead & 0xF8) == 0xF0) {
    bytes = 4, code = lead & 0x07u, least = 0x10000;
  } else {
    return {};
  }
  if (text.size() < bytes) return {};
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < least || code > 0x10FFFF || surrogate) return {};
  return {bytes, code, true};
}

/// Calls `use(character, its bytes)` for each character of `text`.
template <typename Use>
void for_each_character(std::string_view text, Use use) {
  while (!text.empty()) {
    const Character character = decode(text);
    use(character, text.substr(0, character.bytes));
    text.remove_prefix(character.bytes);
  }
}

bool is_control(std::uint32_t code) { return code < 0x20 || (code >= 0x7F && code <= 0x9F); }

}  // namespace

std::string to_utf8(std::string_view bytes) {
  std::string result;
  result.reserve(bytes.size());
  for_each_character(bytes, [&](const Character& character, std::string_view piece) {
    result += character.valid ? piece : kReplacement;
  });
  return result;
}

std::string escape_xml(std::string_view bytes) {
  std::string result;
  result.reserve(bytes.size());
  for_each_character(bytes, [&](const Character& character, std::string_view piece) {
    if (!character.valid || character.code == 0xFFFE || character.code == 0xFFFF) {
      result += kReplacement;
      return;
    }
    switch (character.code) {
      case '&':
        result += "&amp;";
        return;
      case '<':
        result += "&lt;";
        return;
      case '>':  // so that no text can hold the "]]>" that ends a CDATA section
        result += "&gt;";
        return;
      case '"':
        result += "&quot;";
        return;
      case '\'':
        result += "&#39;";
        return;
      case '\t':
      case '\n':
      case '\r':
        result += fmt::format("&#{};", character.code);
        return;
      default:
        result += is_control(character.code) ? kReplacement : piece;
    }
  });
  return result;
}

std::string printable(std::string_view bytes) {
  std::string result;
  result.reserve(bytes.size());
  for_each_character(bytes, [&](const Character& character, std::string_view piece) {
    if (!character.valid) {
      result += kReplacement;
    } else if (is_control(character.code)) {
      result += ' ';
    } else {
      result += piece;
    }
  });
  return result;
}

std::size_t length(std::string_view text) {
  std::size_t count = 0;
  for_each_character(text, [&](const Character&, std::string_view) { ++count; });
  return count;
}

std::string shorten(std::string_view text, std::size_t width) {
  if (length(text) <= width) return std::string(text);
  std::string result;
  std::size_t count = 0;
  for_each_character(text, [&](const Character&, std::string_view piece) {
    if (++count < width) result += piece;
  });
  return result + "…";
}

std::vector<std::string> wrap(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  std::string line;
  std::size_t line_length = 0;
  const auto end_line = [&] {
    lines.push_back(line);
    line.clear();
    line_length = 0;
  };
  const auto add_word = [&](std::string_view word) {
    const std::size_t word_length = length(word);
    if (line_length > 0 && line_length + 1 + word_length > width) end_line();
    if (line_length > 0) {
      line += ' ';
      ++line_length;
    }
    for_each_character(word, [&](const Character&, std::string_view piece) {
      if (line_length == width) end_line();
      line += piece;
      ++line_length;
    });
  };
  std::size_t position = 0;
  while (position < text.size()) {
    const std::size_t start = text.find_first_not_of(' ', position);
    if (start == std::string_view::npos) break;
    const std::size_t end = std::min(text.find(' ', start), text.size());
    add_word(text.substr(start, end - start));
    position = end;
  }
  if (line_length > 0 || lines.empty()) end_line();
  return lines;
}

std::string_view short_name(std::string_view subject) {
  const std::size_t bracket = subject.ends_with(')') ? subject.find(" (") : subject.npos;
  return subject.substr(0, bracket == 0 ? subject.npos : bracket);
}

std::string four_digits(double value) {
  const double size = std::abs(value);
  return size >= 1e4 && size < 1e15 ? fmt::format("{:.0f}", value) : fmt::format("{:.4g}", value);
}

std::string utc(double unix_time) {
  // Years 1970 to 9999: a journal may hold any number.
  if (!(unix_time >= 0 && unix_time < 253402300800.0)) return "unknown";
  const auto seconds = static_cast<std::time_t>(unix_time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace conformance::report
