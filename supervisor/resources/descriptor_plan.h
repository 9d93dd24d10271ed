// DescriptorPlan: what the descriptors that RLIMIT_NOFILE allows this process are for.
//
// To serve existing segments (an attach, a detach, IPC_STAT, a look into /proc) takes some
// descriptors for a moment. These are reserved: they are never used for what lasts (segments, IPC
// namespaces, joined commands). The reserve bounds how many calls are served at the same time, so
// that it always suffices.
//
// Thread rule: plain values.
#pragma once

#include <cstdint>

namespace shmvisor {

struct DescriptorPlan {
  /// Most descriptors that serving one call takes at a time: the caller's pidfd, a description of
  /// the segment, the caller's memory map, and one file of /proc.
  static constexpr std::int64_t kOfACall = 4;

  /// For what lasts. Not negative.
  std::int64_t pool = 0;
  /// Calls that may be served at the same time.
  int calls_at_once = 0;
  /// Callers that one listener may remember, each by a pidfd.
  std::int64_t remembered_callers = 0;
  /// The same for the listener of a joined command, of which there are many.
  std::int64_t remembered_joined_callers = 0;

  /// `limit`: RLIMIT_NOFILE, soft. `open_already`: descriptors that are open and stay open.
  static DescriptorPlan of(std::uint64_t limit, std::int64_t open_already);
  /// The plan of this process. Precondition: its limit does not change any more.
  static DescriptorPlan of_this_process();
};

}  // namespace shmvisor
