// KeeperPage: what a keeper and its servers tell each other, in memory that they share. It outlives
// each server.
//
// Every member is set by one atomic store, so a server may die between any two of them.
//
// Ownership: mapped for as long as the keeper lives, at the same address in every server, which is
// a clone of the keeper. Thread rule: any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "supervisor/keeper/kept_descriptors.h"

namespace shmvisor {

/// The request by which the kernel began a FUSE connection. A server that takes the connection over
/// begins with it; the kernel sends it once.
struct FuseBeginning {
  static constexpr std::size_t kMostBytes = 256;

  std::atomic<std::uint32_t> size_bytes{0};  ///< 0: there is none; set when the bytes are there
  std::array<std::byte, kMostBytes> bytes{};

  std::atomic<std::uint64_t> last_open_file{0};  ///< the number of the last file that was opened
  /// The connection is not served, and is closed next: its number may be another file's.
  std::atomic<bool> is_over{false};
};

struct KeeperPage {
  static constexpr std::uint32_t kLayout = 1;  ///< KeptStore
  static constexpr int kNone = -1;

  /// Null where there is no memory.
  static KeeperPage* create();

  // Of the keeper:

  std::atomic<int> command_status{kNone};  ///< once the command has ended: its exit status
  std::atomic<bool> told_to_end{false};    ///< by a signal, with none left whom it could be for

  /// The last server ended by SIGKILL: somebody killed it, no call that it served.
  std::atomic<bool> was_killed{false};

  // Of the servers:

  std::atomic<bool> serves{false};        ///< a server has begun to, so that the next one can go on
  std::atomic<bool> command_runs{false};  ///< the command has its program
  std::atomic<int> status{kNone};    ///< the server ends because all is done: the run's exit status
  std::atomic<bool> gave_up{false};  ///< the command does not run: it is to be killed

  std::atomic<bool> lost{false};  ///< no server can go on: the state cannot be taken over
  /// Of a run: a configuration that was read again is in force, no more what it was started with.
  std::atomic<bool> steered{false};

  FuseBeginning fuse;  ///< of the command's files in /proc
  KeptDescriptors descriptors;
};

}  // namespace shmvisor
