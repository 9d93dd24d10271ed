// TextTable: rows of text in columns that are as wide as they must be, left-aligned.
//
// Thread rule: one thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace shmvisor::client {

class TextTable {
 public:
  explicit TextTable(std::vector<std::string> heading) { rows_.push_back(std::move(heading)); }

  /// As many cells as the heading has.
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  /// Each row with its newline; nothing behind its last cell.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace shmvisor::client
