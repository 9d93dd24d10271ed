#include "supervisor/inject/call_from_site.h"

namespace shmvisor {

bool CallFromSite::tell(const CallPage::Work& work) const {
  const CallPageUse& use = page_.use();
  if (use.page == nullptr || !use.caller_may_complete || hold_.held() || !hold_.waits_killably()) {
    return false;
  }
  const auto slot = use.page->slot_of_site(hold_.call().data());
  return slot && hold_.call().alive() &&
         CallPage::tell_in_slot(hold_.call().tid(), *slot, work).ok();
}

}  // namespace shmvisor
