// PageMapping: the held caller maps what it was lent by the code of the call page, in one stop or,
// where it may complete its call by itself, in none.
//
// Ownership: borrows what it is given. Thread rule: the thread that received the call.
#pragma once

#include "supervisor/inject/page_runner.h"
#include "supervisor/inject/stopped_thread.h"
#include "supervisor/inject/way_to_map.h"

namespace shmvisor {

class PageMapping : public WayToMap {
 public:
  PageMapping(StoppedThread& thread, Abi abi, const PageRunner& page)
      : thread_(thread), abi_(abi), page_(page) {}

  /// kNotThisWay where the caller does not have the page, or the code did nothing.
  Result<MapAttempt> map(Mapping& mapping) override;

 private:
  StoppedThread& thread_;
  const Abi abi_;
  const PageRunner& page_;
};

}  // namespace shmvisor
