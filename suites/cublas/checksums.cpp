#include "suites/cublas/checksums.h"

#include <algorithm>
#include <vector>

#include "kernels/checksum.h"

namespace conformance::cublas {

ChecksumDifference compare_checksums(std::span<const unsigned long long> found,
                                     std::span<const unsigned long long> expected, unsigned words) {
  ChecksumDifference result;
  if (std::equal(found.begin(), found.end(), expected.begin(), expected.end())) return result;
  std::vector<unsigned> rows, columns;
  for (unsigned i = 0; i < found.size(); ++i) {
    if (found[i] == expected[i]) continue;
    if (i < words) {
      rows.push_back(i);
    } else {
      columns.push_back(i - words);
    }
  }
  result.rows = static_cast<unsigned>(rows.size());
  result.columns = static_cast<unsigned>(columns.size());
  if (!rows.empty()) result.row = rows.front();
  if (!columns.empty()) result.column = columns.front();
  for (const unsigned column : columns) {
    const std::uint64_t change = found[words + column] - expected[words + column];
    for (const unsigned row : rows) {
      if (found[row] - expected[row] != change) continue;
      result.row = row;
      result.column = column;
      result.change = change;
      return result;
    }
  }
  return result;
}

std::uint64_t changed_word(std::uint64_t original, std::uint64_t change, unsigned words,
                           unsigned row, unsigned column) {
  const std::uint32_t place = column * words + row;
  return kernels::checksum_word(kernels::checksum_term(original, place) + change, place);
}

}  // namespace conformance::cublas
