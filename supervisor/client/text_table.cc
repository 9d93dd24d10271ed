#include "supervisor/client/text_table.h"

#include <algorithm>

namespace shmvisor::client {

std::string TextTable::text() const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], row[column].size());
    }
  }
  std::string text;
  for (const auto& row : rows_) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      text += row[column];
      if (column + 1 == row.size()) break;
      text.append(widths[column] - row[column].size() + 1, ' ');
    }
    text += '\n';
  }
  return text;
}

}  // namespace shmvisor::client
