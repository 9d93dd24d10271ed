// KeptOwner: who owns the initial registry of a session, and KeptHome: which IPC namespace a
// container's processes come from, where the next server of a keeper finds them. Both name a
// descriptor that stays open, under its number, as long as it is named.
//
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace shmvisor {

struct KeptOwner {
  /// The owner is that of a namespace which was taken in; set last.
  std::atomic<bool> told{false};
  std::atomic<int> file{-1};  ///< a user namespace at or below the owner; -1: ours
  /// NamespaceOwner::depth(): those who come from elsewhere make it less, and it stays so when they
  /// have left.
  std::atomic<std::size_t> depth{~std::size_t{0}};
};

struct KeptHome {
  std::atomic<std::uint64_t> inode{0};
  std::atomic<int> file{-1};  ///< set last; -1: it is not known
};

}  // namespace shmvisor
