// TextTable: rows of cells in columns as wide as their widest cell, the first to the left, the
// others to the right unless asked otherwise.
//
// Sizes: characters, as UTF-8 has them. Thread rule: no shared state.
#pragma once

#include <cstddef>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace shmvisor {

class TextTable {
 public:
  enum class Align { kLeft, kRight };

  TextTable(std::vector<std::string> heading, Align align);

  /// As many cells as the heading has.
  void add(std::vector<std::string> cells);
  /// A first cell, and a text in place of all others that has no influence on the widths.
  void add_note(std::string first, std::string text);
  [[nodiscard]] bool empty() const { return rows_.size() == 1; }
  void print(std::ostream& out) const;

 private:
  struct Row {
    std::vector<std::string> cells;
    std::optional<std::string> note;
  };

  std::vector<Row> rows_;
  Align align_;
};

/// `text` in lines of at most 100 characters, broken between words, the further ones indented.
void print_wrapped(const std::string& text, std::ostream& out);

}  // namespace shmvisor
