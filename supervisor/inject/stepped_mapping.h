// SteppedMapping: the held caller maps what it was lent by mmap(2) and close(2), each run from stop
// to stop. The way that every caller has.
//
// Ownership: borrows the thread. Thread rule: the thread that received the call.
#pragma once

#include "supervisor/inject/stopped_thread.h"
#include "supervisor/inject/way_to_map.h"

namespace shmvisor {

class SteppedMapping : public WayToMap {
 public:
  SteppedMapping(StoppedThread& thread, Abi abi) : thread_(thread), abi_(abi) {}

  Result<MapAttempt> map(Mapping& mapping) override;

 private:
  StoppedThread& thread_;
  const Abi abi_;
};

}  // namespace shmvisor
