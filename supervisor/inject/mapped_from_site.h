// MappedFromSite: the caller made its call from the call page (CallFromSite), gets the descriptor
// as the answer, and maps and closes it there. No stop, and one notification.
//
// The descriptor is handed out with the answer, once the call has changed what it changes. Only
// callers that may write get it: another thread could open a read-only descriptor anew, through
// /proc, for writing.
//
// Ownership: borrows what it is given; the file goes to the call's answer. Thread rule: the thread
// that received the call.
#pragma once

#include "supervisor/inject/caller_hold.h"
#include "supervisor/inject/page_runner.h"
#include "supervisor/inject/way_to_map.h"

namespace shmvisor {

class MappedFromSite : public WayToMap {
 public:
  MappedFromSite(CallerHold& hold, const PageRunner& page) : hold_(hold), page_(page) {}

  /// kNotThisWay where the call came from elsewhere, or the caller may not: nothing was done.
  Result<MapAttempt> map(Mapping& mapping) override;

 private:
  CallerHold& hold_;
  const PageRunner& page_;
};

}  // namespace shmvisor
