// CompletedByCaller: the caller's call is answered before anything is mapped, and the code of the
// call page then fetches the descriptor, maps it and returns from the call (Loans). Nobody waits,
// and the descriptor is in the caller's table only while that code runs.
//
// Ownership: borrows what it is given; the file goes to the loans. Thread rule: the thread that
// received the call.
#pragma once

#include "supervisor/inject/caller_hold.h"
#include "supervisor/inject/page_runner.h"
#include "supervisor/inject/way_to_map.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

class CompletedByCaller : public WayToMap {
 public:
  CompletedByCaller(CallerHold& hold, const PageRunner& page, KernelFeatures& features)
      : hold_(hold), page_(page), features_(features) {}

  /// kNotThisWay where the caller may not or cannot, after all: it may be held then, and the file
  /// is as it was.
  Result<MapAttempt> map(Mapping& mapping) override;

 private:
  /// Whether it is worth a try: before the caller is held.
  [[nodiscard]] bool is_likely(const Mapping& mapping) const;

  CallerHold& hold_;
  const PageRunner& page_;
  KernelFeatures& features_;
};

}  // namespace shmvisor
