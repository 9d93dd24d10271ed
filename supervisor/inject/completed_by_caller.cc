#include "supervisor/inject/completed_by_caller.h"

#include <utility>

#include "policy/base/fault_point.h"
#include "supervisor/inject/site_rewriter.h"

namespace shmvisor {

bool CompletedByCaller::is_likely(const Mapping& mapping) const {
  const CallPageUse& use = page_.use();
  return mapping.caller_may_complete && !hold_.held() && hold_.waits_killably() &&
         use.page != nullptr && use.caller_may_complete && use.loans != nullptr && use.used() &&
         features_.usable(KernelFeature::kUserDispatchConfig);
}

Result<MapAttempt> CompletedByCaller::map(Mapping& mapping) {
  constexpr auto kNotThisWay = MapAttempt::Outcome::kNotThisWay;
  if (!is_likely(mapping)) return MapAttempt::of(kNotThisWay);
  if (const auto held = hold_.hold(); !held) return held.error();
  StoppedThread& thread = hold_.thread();
  const CallPageUse& use = page_.use();
  if (!page_.can_map_at(thread, {mapping.arguments[0], mapping.arguments[1]}) ||
      !page_.caller_can_complete(thread)) {
    use.misses->store(0, std::memory_order_relaxed);
    return MapAttempt::of(kNotThisWay);
  }
  SiteRewriter(hold_, page_, features_).rewrite_if_due();
  if (!use.loans->reserve(use.unique, thread.tid(), use.user)) return MapAttempt::of(kNotThisWay);
  const LentDescriptor lent(mapping.file.get());
  const auto begin = use.page->begin(
      thread, {CallPage::Task::kFetchAndMap, mapping.arguments, lent.mark()}, false);
  if (!begin) {
    use.loans->cancel(use.unique);
    return MapAttempt::of(kNotThisWay);
  }
  use.loans->keep(use.unique, std::move(mapping.file), lent);
  fault_point("loan_kept");
  thread.go_on_from(*begin);
  return MapAttempt::of(MapAttempt::Outcome::kCompletedByCaller);
}

}  // namespace shmvisor
