#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace conformance::sim {

/// A row of the tables that the build makes from the enumerations in the toolkit's headers.
template <typename Error>
struct ErrorName {
  Error error;
  const char* name;
};

/// Null if the code is not in the table.
template <typename Error, std::size_t kRows>
const char* name_in(const ErrorName<Error> (&table)[kRows], Error error) {
  const auto* found = std::find_if(std::begin(table), std::end(table),
                                   [&](const ErrorName<Error>& row) { return row.error == error; });
  return found == std::end(table) ? nullptr : found->name;
}

}  // namespace conformance::sim
