// Control characters, which must not reach a terminal or a line of a log from what others chose.
//
// Thread rule: pure functions.
#pragma once

namespace shmvisor {

/// Of ASCII.
[[nodiscard]] inline bool is_control(char letter) {
  constexpr unsigned char kFirstPrintable = 0x20;
  constexpr char kDelete = 0x7f;
  return static_cast<unsigned char>(letter) < kFirstPrintable || letter == kDelete;
}

}  // namespace shmvisor
