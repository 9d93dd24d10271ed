// KeptCallPage: the page of code that callers have (CallPage), where the next program of a keeper
// finds it. What was drawn for it is the same for as long as callers may have it.
//
// Thread rule: the main thread, before anybody is served.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace shmvisor {

struct KeptCallPage {
  static constexpr std::uint32_t kLayout = 1;  ///< KeptStore

  std::atomic<int> file{-1};  ///< its descriptor; set last. -1: there is none
  std::uint64_t address = 0;
  std::uint64_t signature = 0;
  std::array<std::uint64_t, 3> drawn_for_stubs{};
  std::uint64_t filters_of_callers = 0;
};

}  // namespace shmvisor
