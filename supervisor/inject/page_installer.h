// PageInstaller: gives a caller the call page, on the occasion of one attach.
//
// The page's file is lent while the caller still waits in its notification; it is mapped, or given
// up, once the caller is held and has mapped what it asked for.
//
// Ownership: borrows what it is given. Thread rule: the thread that received the call.
#pragma once

#include <optional>

#include "supervisor/inject/call_page.h"
#include "supervisor/inject/stopped_thread.h"
#include "supervisor/notify/pending_call.h"

namespace shmvisor {

class PageInstaller {
 public:
  /// Counts an attach without the page, and answers whether the caller is to get it now. Once for
  /// each attach.
  [[nodiscard]] static bool count_miss(const CallPageUse& use, const KernelFeatures& features);

  /// `is_due`: what count_miss() answered.
  PageInstaller(PendingCall& call, const CallPageUse& use, bool is_due)
      : call_(call), use_(use), is_due_(is_due) {}

  /// Lends the caller, which waits in the notification `id`, the page's file, if the caller is to
  /// get it now. Does nothing once it was lent.
  void lend_if_due(std::uint64_t id);
  [[nodiscard]] bool lent() const { return number_.has_value(); }
  /// If it was lent: closes it in the held caller, and maps it before that where it is wanted.
  void finish(StoppedThread& thread, Abi abi, bool wanted);

 private:
  PendingCall& call_;
  const CallPageUse& use_;
  const bool is_due_;
  /// The caller's, for a moment.
  std::optional<int> number_;
};

}  // namespace shmvisor
