#include "integration/bench/text_table.h"

#include <algorithm>
#include <sstream>
#include <utility>

namespace shmvisor {
namespace {

constexpr std::size_t kWidth = 100;
constexpr const char* kGap = "  ";

/// Characters, not bytes: UTF-8 continuation bytes take no room.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

TextTable::TextTable(std::vector<std::string> heading, Align align) : align_(align) {
  add(std::move(heading));
}

void TextTable::add(std::vector<std::string> cells) {
  rows_.push_back({std::move(cells), std::nullopt});
}

void TextTable::add_note(std::string first, std::string text) {
  rows_.push_back({{std::move(first)}, std::move(text)});
}

void TextTable::print(std::ostream& out) const {
  std::vector<std::size_t> widths(rows_.front().cells.size());
  for (const Row& row : rows_) {
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      widths[i] = std::max(widths[i], width_of(row.cells[i]));
    }
  }
  for (const Row& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      const std::string padding(widths[i] - width_of(row.cells[i]), ' ');
      const bool to_the_left = i == 0 || align_ == Align::kLeft;
      line += i == 0 ? "" : kGap;
      line += to_the_left ? row.cells[i] + padding : padding + row.cells[i];
    }
    if (row.note) line += kGap + *row.note;
    line.erase(line.find_last_not_of(' ') + 1);
    print_wrapped(line, out);
  }
}

void print_wrapped(const std::string& text, std::ostream& out) {
  std::string rest = text;
  while (width_of(rest) > kWidth) {
    // Bytes are at least as many as characters, so this may break early, never late.
    std::size_t space = rest.rfind(' ', kWidth);
    if (space == std::string::npos || rest.find_first_not_of(' ') > space) break;
    out << rest.substr(0, rest.find_last_not_of(' ', space) + 1) << '\n';
    rest = "    " + rest.substr(space + 1);
  }
  out << rest << '\n';
}

}  // namespace shmvisor
