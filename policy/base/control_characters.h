// Control characters, which must not reach a terminal or a line of a log from what others chose.
//
// Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <string_view>

namespace shmvisor {

/// Of ASCII.
[[nodiscard]] inline bool is_control(char letter) {
  constexpr unsigned char kFirstPrintable = 0x20;
  constexpr char kDelete = 0x7f;
  return static_cast<unsigned char>(letter) < kFirstPrintable || letter == kDelete;
}

/// Whether the text begins with one of U+0080 to U+009F in UTF-8, which has two bytes: terminals
/// take U+009B for "ESC [".
[[nodiscard]] inline bool begins_with_wide_control(std::string_view text) {
  constexpr unsigned char kLead = 0xc2;
  constexpr unsigned char kFirst = 0x80;
  constexpr unsigned char kLast = 0x9f;
  if (text.size() < 2 || static_cast<unsigned char>(text[0]) != kLead) return false;
  const auto second = static_cast<unsigned char>(text[1]);
  return kFirst <= second && second <= kLast;
}

/// '?' in place of each byte of control characters. `text`: of UTF-8, or any bytes.
inline void hide_controls(char* text, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; ++at) {
    if (begins_with_wide_control({text + at, bytes - at})) {
      text[at] = '?';
      text[++at] = '?';
    } else if (is_control(text[at])) {
      text[at] = '?';
    }
  }
}

}  // namespace shmvisor
