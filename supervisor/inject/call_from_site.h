// CallFromSite: a call that its caller made from the call page, because the caller's own call site
// leads there (SiteRewriter). Such a caller is told what to do with the answer, and is not stopped:
// its signals are blocked, and the page's code gives everything back.
//
// The caller is hostile: another thread of it, or the caller itself from a page of its own making,
// can say the same. It is told no more than what it may do, in the slots of its own page.
//
// Ownership: borrows what it is given. Thread rule: the thread that received the call.
#pragma once

#include "supervisor/inject/call_page.h"
#include "supervisor/inject/caller_hold.h"
#include "supervisor/inject/page_runner.h"

namespace shmvisor {

class CallFromSite {
 public:
  CallFromSite(CallerHold& hold, const PageRunner& page) : hold_(hold), page_(page) {}

  /// Tells the caller what to do once its call is answered: with the descriptor where it is to map.
  /// False where the call is not such a one, or its caller cannot be told; then nothing was done.
  [[nodiscard]] bool tell(const CallPage::Work& work) const;

 private:
  CallerHold& hold_;
  const PageRunner& page_;
};

}  // namespace shmvisor
