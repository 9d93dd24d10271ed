#include "supervisor/inject/mapping_ways.h"

#include <spdlog/spdlog.h>

#include <initializer_list>
#include <optional>

#include "policy/base/error_result.h"
#include "supervisor/inject/borrowed_table.h"
#include "supervisor/inject/completed_by_caller.h"
#include "supervisor/inject/mapped_from_site.h"
#include "supervisor/inject/page_installer.h"
#include "supervisor/inject/page_mapping.h"
#include "supervisor/inject/raised_limit.h"
#include "supervisor/inject/site_rewriter.h"
#include "supervisor/inject/stepped_mapping.h"

namespace shmvisor {
namespace {

using Outcome = MapAttempt::Outcome;

/// Of a descriptor that is lent.
constexpr int kMostLosses = 3;

/// What the first of `ways` answers that is open.
Result<MapAttempt> map_by_first(std::initializer_list<WayToMap*> ways, Mapping& mapping) {
  for (WayToMap* const way : ways) {
    const auto attempt = way->map(mapping);
    if (!attempt || attempt->outcome != Outcome::kNotThisWay) return attempt;
  }
  return MapAttempt::of(Outcome::kNotThisWay);
}

/// Lends the caller the descriptor, and has it mapped there.
class Lending : public WayToMap {
 public:
  Lending(CallerHold& hold, const PageRunner& page, KernelFeatures& features)
      : hold_(hold), page_(page), features_(features) {}

  [[nodiscard]] bool found_table_full() const { return found_table_full_; }

  /// kNotThisWay where nothing can be lent that stays there.
  Result<MapAttempt> map(Mapping& mapping) override {
    const bool caller_may_complete = mapping.caller_may_complete;
    mapping.lent.emplace(mapping.file.get());
    for (int losses = 0; losses < kMostLosses; ++losses) {
      mapping.caller_may_complete = caller_may_complete;
      const auto attempt = map_once(mapping);
      if (!attempt || attempt->outcome != Outcome::kLost) return attempt;
      spdlog::debug("thread {}: its process closed a descriptor of ours", hold_.call().tid());
    }
    return MapAttempt::of(Outcome::kNotThisWay);
  }

 private:
  Result<MapAttempt> map_once(Mapping& mapping) {
    const Abi abi = hold_.call().raw().abi;
    // A caller that has the page, as far as we know, is not to be killed with us.
    const auto order = page_.use().page != nullptr && page_.use().used() ? LendingOrder::kLendFirst
                                                                         : LendingOrder::kHoldFirst;
    if (!page_is_due_) page_is_due_ = PageInstaller::count_miss(page_.use(), features_);
    PageInstaller installer(hold_.call(), page_.use(), *page_is_due_);
    const auto number = hold_.hold_and_lend(*mapping.lent, order,
                                            [&](std::uint64_t id) { installer.lend_if_due(id); });
    if (!number) {
      if (hold_.held()) installer.finish(hold_.thread(), abi, false);
      if (number.error() != Errno(EMFILE)) return number.error();
      found_table_full_ = true;
      return MapAttempt::of(Outcome::kNotThisWay);
    }
    mapping.arguments[kMmapDescriptor] = static_cast<std::uint64_t>(*number);
    if (installer.lent()) mapping.caller_may_complete = false;
    PageMapping by_page(hold_.thread(), abi, page_);
    SteppedMapping stepped(hold_.thread(), abi);
    const auto attempt = map_by_first({&by_page, &stepped}, mapping);
    const bool mapped =
        attempt && attempt->outcome == Outcome::kAnswered && !is_error_result(attempt->answer);
    const bool due = installer.lent();
    installer.finish(hold_.thread(), abi, mapped);
    if (due && page_.use().used()) SiteRewriter(hold_, page_, features_).rewrite_if_due();
    return attempt;
  }

  CallerHold& hold_;
  const PageRunner& page_;
  KernelFeatures& features_;
  bool found_table_full_ = false;
  std::optional<bool> page_is_due_;  ///< for this attach, however often it is tried
};

}  // namespace

Result<MapAttempt> map_in_caller(CallerHold& hold, const PageRunner& page, KernelFeatures& features,
                                 Mapping& mapping) {
  MappedFromSite from_site(hold, page);
  CompletedByCaller completed(hold, page, features);
  Lending lending(hold, page, features);
  const auto attempt = map_by_first({&from_site, &completed, &lending}, mapping);
  if (!attempt || attempt->outcome != Outcome::kNotThisWay) return attempt;
  BorrowedTable borrowed(hold);
  if (lending.found_table_full()) {
    // No process is made for it: so it works where the caller may make none, or has a filter of its
    // own that kills for clone(2), and no file that the caller has open is flushed.
    const auto raised = RaisedLimit::of(hold.thread());
    if (raised) return map_by_first({&lending, &borrowed}, mapping);
  }
  return borrowed.map(mapping);
}

}  // namespace shmvisor
