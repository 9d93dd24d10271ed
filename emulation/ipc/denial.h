// Denial: which limit or right denied a call what it asked for, beside the errno that the kernel
// answers. The errno alone says little: ENOSPC of shmget(2) may be shmall, shmmni or a share.
//
// The emulation only says what it compared with what; the supervisor makes a log line of it.
// Units are those of each reason, said below. Thread rule: a plain value.
#pragma once

#include <cstdint>

namespace shmvisor {

struct Denial {
  enum class Reason : std::uint8_t {
    kNone,            ///< the errno says it all
    kShmmin,          ///< bytes
    kShmmax,          ///< bytes
    kShmall,          ///< pages; `taken` by all other segments
    kShmmni,          ///< segments
    kUserShmmax,      ///< bytes: the limits of one user
    kUserShmall,      ///< pages; `taken` by the user's other segments
    kUserShmmni,      ///< segments; `taken` by the user
    kRule,            ///< of the operator's: `limit` its place among the rules, `asked` its line
    kFault,           ///< the same of a rule that makes calls fail for tests
    kSmallerSegment,  ///< bytes: the key's segment is smaller
    kMode,            ///< permission bits: `limit` the segment's, `asked` those wanted
    kOwner,           ///< `limit`: the uid of the segment's owner
    kMemlock,         ///< pages that may be locked; `taken`: by the user already
    kHugetlbGroup,    ///< `limit`: vm.hugetlb_shm_group
    kOvercommit,      ///< bytes: vm.overcommit_memory; `limit` 0 where it is not known
    kRoom,            ///< bytes: --commit finds no room for them
    kDescriptors,     ///< all that this process may make of what lasts
    kDescriptorsOfGroup,
    kDescriptorsOfUser,
    kCallsOfUser,  ///< `taken`: the user's calls that wait already, and `limit` may
    kTracing,      ///< the caller's memory is out of reach: ptrace(2) is refused
  };
  static constexpr Reason kLastReason = Reason::kTracing;

  Reason reason = Reason::kNone;
  std::uint64_t limit = 0;
  std::uint64_t asked = 0;
  std::uint64_t taken = 0;

  /// ipcperms() of a segment with `mode`, for what `flag` asks for in any of its octal digits.
  static Denial by_mode(unsigned mode, int flag) {
    constexpr unsigned kBits = 0777;
    return {Reason::kMode, mode & kBits, static_cast<unsigned>(flag) & kBits, 0};
  }

  [[nodiscard]] bool known() const { return reason != Reason::kNone; }
  friend bool operator==(const Denial&, const Denial&) = default;
};

}  // namespace shmvisor
