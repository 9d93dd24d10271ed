// KeptUpgrade: the wish that another program takes over, where a server that was asked for it tells
// its keeper, and the keeper answers. It outlives both.
//
// Wishes of clients come by a server; a signal may ask the keeper for one besides.
//
// Thread rule: the main threads of keeper and server. One wish at a time: its text is the server's
// while none is under way, and the texts of the refusal are the keeper's.
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

  std::atomic<std::uint32_t> asked{0};     ///< how often clients did; set last
  std::atomic<std::uint32_t> answered{0};  ///< of these
  std::atomic<std::uint32_t> refused{0};   ///< also of signals; set last
  /// At the last refusal: the number of the client's wish (`asked`); 0: it was a signal's.
  std::atomic<std::uint32_t> refused_wish{0};
  std::atomic<std::uint32_t> told{0};  ///< of the refused: those that servers have told of
  Text program{};                      ///< its path; empty: where ours was started from
  Text refused_program{};              ///< at the last refusal
  Text why_not{};                      ///< the same

  /// The keeper's. Its server is told by its own means. Precondition: all_told().
  void refuse(std::string_view path, std::string_view why, std::uint32_t wish) {
    set(refused_program, path);
    set(why_not, why);
    refused_wish.store(wish);
    refused.fetch_add(1);
  }
  /// Whether a server has told of the last refusal. Until then no other wish is seen to.
  [[nodiscard]] bool all_told() const { return told.load() == refused.load(); }
  /// A client's wish.
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
