// LendingBeyondLimit: a caller whose descriptor table is full gets the descriptor lent
// nevertheless, while its limit is raised (RaisedLimit), and maps it in steps.
//
// No process is made for it: so it works where the caller may make none, or has a filter of its own
// that kills for clone(2), and no file that the caller has open is flushed.
//
// Ownership: borrows the hold. Thread rule: the thread that received the call.
#pragma once

#include "supervisor/inject/caller_hold.h"
#include "supervisor/inject/way_to_map.h"

namespace shmvisor {

class LendingBeyondLimit : public WayToMap {
 public:
  explicit LendingBeyondLimit(CallerHold& hold) : hold_(hold) {}

  /// Precondition: the caller is held; the mapping has its LentDescriptor. kNotThisWay where the
  /// limit cannot be raised far enough, or the caller's threads close whatever is there.
  Result<MapAttempt> map(Mapping& mapping) override;

 private:
  CallerHold& hold_;
};

}  // namespace shmvisor
