// KeptUpgrade: the wish that another program takes over, where a server that was asked for it tells
// its keeper, and the keeper answers. It outlives both.
//
// Thread rule: the main threads of keeper and server. One wish at a time: its text is the server's
// while none is under way, and the answer's is the keeper's.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace shmvisor {

struct KeptUpgrade {
  static constexpr std::uint32_t kLayout = 1;  ///< KeptStore
  static constexpr std::size_t kTextBytes = 4096;
  using Text = std::array<char, kTextBytes>;

  std::atomic<std::uint32_t> asked{0};     ///< how often; set last
  std::atomic<std::uint32_t> answered{0};  ///< of these; set last
  Text program{};                          ///< its path; empty: where ours was started from
  Text why_not{};                          ///< the last answer

  [[nodiscard]] bool under_way() const { return asked.load() != answered.load(); }

  /// Texts end with a zero; what is longer is cut.
  static void set(Text& text, std::string_view words) {
    const std::size_t length = words.copy(text.data(), text.size() - 1);
    text.at(length) = '\0';
  }
  static std::string get(const Text& text) {
    const std::string_view all(text.data(), text.size());
    return std::string(all.substr(0, all.find('\0')));
  }
};

}  // namespace shmvisor
