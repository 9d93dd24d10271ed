// PageRunner: has a held caller run the code of the call page, if it has the page.
//
// Ownership: borrows what it is given. Thread rule: the thread that received the call.
#pragma once

#include <functional>
#include <optional>

#include "emulation/memmap/address_range.h"
#include "policy/base/result.h"
#include "supervisor/inject/call_page.h"
#include "supervisor/inject/stopped_thread.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

class PageRunner {
 public:
  PageRunner(const CallPageUse& use, KernelFeatures& features) : use_(use), features_(features) {}

  [[nodiscard]] const CallPageUse& use() const { return use_; }
  [[nodiscard]] bool is_in(StoppedThread& thread) const {
    return use_.page != nullptr && use_.page->is_in(thread);
  }
  /// The same, and whether the page may map at `range`, which is not to replace the page.
  [[nodiscard]] bool can_map_at(StoppedThread& thread, const AddressRange& range) const {
    return is_in(thread) && !use_.page->overlaps(range);
  }
  /// Whether the held caller, which has the page, can complete its call by itself.
  [[nodiscard]] bool caller_can_complete(StoppedThread& thread) const {
    return use_.caller_may_complete && thread.may_run_untraced(features_);
  }

  /// How far the code came; nothing where the caller completes its call, which it does where it may
  /// and can. EAGAIN where nothing was done. `goes_alone`: called before code runs whose end we may
  /// not live to see, where another server would. Precondition: is_in().
  Result<std::optional<CallPage::Progress>> run(StoppedThread& thread, const CallPage::Work& work,
                                                bool caller_may_complete,
                                                const std::function<void()>& goes_alone) const;

 private:
  const CallPageUse use_;
  KernelFeatures& features_;
};

}  // namespace shmvisor
