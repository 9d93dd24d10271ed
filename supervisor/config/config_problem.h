// ConfigProblem: what is wrong with a configuration, and where.
//
// Thread rule: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "policy/base/control_characters.h"

namespace shmvisor::config {

/// Lines and columns are counted from 1; columns in characters. Line 0: the file as a whole.
struct Place {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  /// "FILE:LINE:COLUMN"
  [[nodiscard]] std::string text() const {
    if (line == 0) return file;
    return file + ":" + std::to_string(line) + ":" + std::to_string(column);
  }
  friend bool operator==(const Place&, const Place&) = default;
};

/// With '?' for each control character: what a file has reaches logs and terminals.
[[nodiscard]] inline std::string on_one_line(std::string text) {
  hide_controls(text.data(), text.size());
  return text;
}

/// Without the middle of what is very long, as a value of a file may be.
[[nodiscard]] inline std::string shortened(const std::string& text) {
  constexpr std::size_t kLongest = 600;
  constexpr std::size_t kKept = 250;  // at either end
  if (text.size() <= kLongest) return text;
  const auto is_inside = [&text](std::size_t at) {  // of a letter of UTF-8
    return (static_cast<unsigned char>(text[at]) & 0xc0U) == 0x80U;
  };
  std::size_t end = kKept;
  while (end > 0 && is_inside(end)) --end;
  std::size_t begin = text.size() - kKept;
  while (begin < text.size() && is_inside(begin)) ++begin;
  return text.substr(0, end) + "..." + text.substr(begin);
}

struct Problem {
  Place place;
  std::string text;

  [[nodiscard]] std::string line() const {
    return on_one_line(place.text() + ": " + shortened(text));
  }
};

/// In the order of their places. So many are told; one more says that there are others.
using Problems = std::vector<Problem>;
inline constexpr std::size_t kMostProblems = 20;

/// One line for each.
[[nodiscard]] inline std::string lines_of(const Problems& problems, const char* before = "") {
  std::string lines;
  for (const Problem& problem : problems) {
    if (!lines.empty()) lines += '\n';
    lines += before + problem.line();
  }
  return lines;
}

}  // namespace shmvisor::config
