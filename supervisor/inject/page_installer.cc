#include "supervisor/inject/page_installer.h"

#include <algorithm>
#include <climits>
#include <utility>

#include "supervisor/inject/lent_mapping.h"
#include "supervisor/inject/mmap_call.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {

bool PageInstaller::count_miss(const CallPageUse& use, const KernelFeatures& features) {
  if (use.page == nullptr) return false;
  const bool used = use.used();
  const int misses = std::max(use.misses->load(std::memory_order_relaxed), 0);
  if (misses != INT_MAX) use.misses->store(misses + 1, std::memory_order_relaxed);
  const bool waits = features.usable(KernelFeature::kLateCallSites);
  // A caller that has the page, as far as we know, need not run anything step by step for it.
  return !used && (!waits || CallPage::is_due(misses));
}

void PageInstaller::lend_if_due(std::uint64_t id) {
  const CallPage* const page = use_.page;
  if (!is_due_ || lent()) return;
  const auto status = TaskStatus::read(call_.tid());
  if (!status || status->seccomp_filters != page->filters_of_callers()) return;
  const auto lent = page->file().lend(call_.listener(), id, call_.tid());
  if (lent) number_ = *lent;
}

void PageInstaller::finish(StoppedThread& thread, Abi abi, bool wanted) {
  const auto number = std::exchange(number_, std::nullopt);
  if (!number) return;
  const CallPage& page = *use_.page;
  const CallArguments mapping = page.mapping(*number);
  const CallArguments slots = page.mapping_of_slots(*number);
  const auto mapped = wanted ? thread.call(abi, RemoteCall::kMmap, mapping) : Errno(ECANCELED);
  // Where its place is taken the caller goes on without, and what is there stays as it is.
  const bool there = mapped && static_cast<std::uint64_t>(*mapped) == mapping[0];
  if (there) {
    // After mlockall(MCL_FUTURE) it would count for RLIMIT_MEMLOCK.
    (void)thread.call(abi, RemoteCall::kMmap, slots);
    (void)thread.call(abi, RemoteCall::kMunlock, {mapping[0], mapping[1] + slots[1]});
  }
  if (page.file().identify(thread.tid(), *number).value_or(false)) {
    (void)close_in(thread, abi, static_cast<std::uint64_t>(*number));
    if (there) use_.misses->store(CallPageUse::kUsed, std::memory_order_relaxed);
  } else if (there) {
    // Another thread may have closed it, and what is mapped may be any file.
    (void)unmap_in(thread, abi, {mapping[0], mapping[1] + slots[1]});
  }
}

}  // namespace shmvisor
