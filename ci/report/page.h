#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ci/report/journals.h"

namespace conformance::report {

// What the pages are made of. A parameter that is called `html` is put in as it is; everything else
// is escaped.

/// <td> with the text of a value.
std::string cell(const Json& value);
/// <td> for numbers, which stand under each other by their last digit.
std::string number_cell(std::string_view text);
/// <th> of a row.
std::string row_heading(std::string_view text);
/// An outcome or a verdict: its word with a sign, so that no meaning is in the colour alone.
std::string outcome_badge(std::string_view outcome);
/// A name that may be broken where a new word of it begins.
std::string breakable(std::string_view name);

/// A table that is scrolled by itself where the page is too narrow for it. `html` holds its rows.
std::string table(std::string_view caption, const std::vector<std::string_view>& columns,
                  const std::string& html);
/// A part that can be folded away; `summary_html` stays visible.
std::string folded(const std::string& summary_html, const std::string& html, bool open = false);
/// A part of the page with its heading; `id` is what links lead to.
std::string section(std::string_view id, std::string_view heading, const std::string& html);
/// A whole page. It needs no other file and no script, and forbids both.
std::string page(std::string_view title, const std::string& html);

}  // namespace conformance::report
