// KernelFeatures: which optional kernel features this run may use.
//
// A feature is tried by using it, never by comparing versions. The code that uses a feature asks
// usable() first. When the kernel does not know the call, that code calls mark_absent() and takes
// the fallback from then on. `--without NAME` calls mark_absent() before the start, so that every
// fallback can be tested on a kernel that has all features.
//
// Ownership: all copies share one state, so that a thread that may be lost can keep a copy. Thread
// rule: any thread may call any member at any time.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

namespace shmvisor {

enum class KernelFeature : std::size_t {
  kWaitKillableRecv,    // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19
  kSyncWakeUp,          // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, Linux 6.6
  kPidfdGetfd,          // pidfd_getfd(2), Linux 5.6, often forbidden in containers
  kPidfdThread,         // PIDFD_THREAD, Linux 6.9
  kPidfdGetInfo,        // PIDFD_GET_INFO, Linux 6.13
  kProcmapQuery,        // PROCMAP_QUERY, Linux 6.11
  kNoexecSeal,          // MFD_NOEXEC_SEAL, Linux 6.3
  kCachestat,           // cachestat(2), Linux 6.5
  kKcmp,                // kcmp(2), often forbidden in containers
  kInotify,             // inotify_init(2): refused when a user has no instance left
  kCallPage,            // executable memfds, which vm.memfd_noexec and security modules may forbid
  kUserDispatchConfig,  // PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, Linux 6.4
  kLeases,              // F_SETLEASE, which fs.leases-enable may forbid
  kCallSites,           // unshare(2) with CLONE_VM, by which SiteRewriter may change programs' code
  kLateCallSites,       // no feature: it does so after some calls, and not at the first one
  kAddfdSend,           // SECCOMP_ADDFD_FLAG_SEND, Linux 5.14
  kNamespaceHandles,    // open_by_handle_at(2) of namespaces, Linux 6.18, with CAP_SYS_ADMIN there
  kCount,
};

class KernelFeatures {
 public:
  [[nodiscard]] bool usable(KernelFeature feature) const {
    return !(*absent_)[static_cast<std::size_t>(feature)].load(std::memory_order_relaxed);
  }
  void mark_absent(KernelFeature feature) {
    (*absent_)[static_cast<std::size_t>(feature)].store(true, std::memory_order_relaxed);
  }

  /// The name that `--without` and `check` use, for example "sync-wake-up".
  static std::string_view name(KernelFeature feature);
  static std::optional<KernelFeature> by_name(std::string_view name);

 private:
  using Absent = std::array<std::atomic<bool>, static_cast<std::size_t>(KernelFeature::kCount)>;
  std::shared_ptr<Absent> absent_ = std::make_shared<Absent>();
};

}  // namespace shmvisor
