// BorrowedTable: maps a file into a caller whose descriptor table is full and whose limit may not
// be raised, or whose threads close whatever is there.
//
// shmat(2) needs no descriptor, mmap(2) does. Taking one of the caller's for a moment would be seen
// by its other threads. So the stopped caller is made to clone a process, the lender, that shares
// the caller's memory but has a copy of its table. The lender has its limit raised, or closes a
// descriptor of its copy; it gets ours, maps it, and is killed and reaped. It never runs an
// instruction of the caller's but those that enter the kernel.
//
// At its end the kernel flushes all files of the copy, and some file systems take their time for
// that: it is waited for two seconds. What it closes is a descriptor that no file system has, if
// there is one.
//
// A caller that is killed in the middle takes the lender with it, or the end of this thread does,
// which is to end then (Tracee::abandon_unknown_one()).
//
// Errors: ENOMEM where the process cannot be made or does not do its part.
// Thread rule: the thread that holds the caller.
#pragma once

#include <array>
#include <cstdint>

#include "policy/base/result.h"
#include "supervisor/inject/caller_hold.h"
#include "supervisor/inject/stopped_thread.h"
#include "supervisor/inject/way_to_map.h"

namespace shmvisor {

class BorrowedTable : public WayToMap {
 public:
  explicit BorrowedTable(CallerHold& hold) : hold_(hold), abi_(hold.call().raw().abi) {}

  /// Precondition: the caller is held.
  Result<MapAttempt> map(Mapping& mapping) override;

 private:
  Result<std::int64_t> map_in(StoppedThread& lender, Mapping& mapping);
  /// Puts `fd` into the lender's table and returns its number there. EMFILE where it is full;
  /// ENOENT where a signal came before.
  Result<int> install(StoppedThread& lender, int fd);
  /// The same, however many signals come.
  Result<int> install_at_last(StoppedThread& lender, int fd);
  /// The lender's limit of descriptors. False where it stays.
  bool raise_limit(StoppedThread& lender);
  /// Closes a descriptor that the lender has from the caller.
  bool close_one(StoppedThread& lender);
  /// Raises the limit by a call of the lender's own, up to its hard limit, where we may not.
  bool raise_own_limit(StoppedThread& lender);

  CallerHold& hold_;
  const Abi abi_;
};

}  // namespace shmvisor
