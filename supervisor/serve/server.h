// Server: the threads that receive calls and answer them.
//
// One thread blocks in NOTIF_RECV, itself: only so does the kernel hand it the CPU of the caller
// (an epoll in between loses that); and alone, because several are woken in turn, each with cold
// caches, which doubles the time of a call. The others are parked. One of them takes over when a
// second call is waiting already, before a step that takes long (counting a thousand processes),
// and when a call keeps its thread for more than a millisecond: a mapping that is populated, or a
// copy to memory that belongs to a userfaultfd or a file system of the caller's.
//
// Ownership: borrows what it is given. Thread rule: start and wait from one thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>

#include "policy/base/unique_fd.h"
#include "supervisor/kernel/features.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/listener.h"
#include "supervisor/notify/pending_call.h"
#include "supervisor/process/ipc_namespaces.h"
#include "supervisor/process/refusals.h"
#include "supervisor/process/thread_identity.h"

namespace shmvisor {

class Server {
 public:
  /// Threads at most; beyond it callers wait for one another.
  static constexpr int kMostThreads = 1024;
  /// Threads that stay parked when there is nothing to do.
  static constexpr int kMostParked = 3;

  Server(Listener& listener, IpcNamespaces& namespaces, KernelFeatures& features);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// From now on a thread that unshare(2) or setns(2) may have put into another IPC namespace is
  /// held until `entered` returns, which gets its tid. Before start().
  void on_namespace_change(std::function<void(pid_t)> entered) { entered_ = std::move(entered); }

  /// EAGAIN where the threads, EMFILE where their descriptors cannot be had.
  Result<void> start();

  /// Waits until all threads have noticed that no supervised task is left. False where some did not
  /// within a second: before Linux 6.11 NOTIF_RECV does not say so. The process must then end
  /// without destroying what they use.
  bool wait_for_end();

 private:
  class ServedCaller;

  void run();
  void serve(const seccomp_notif& notif);
  void change_namespaces(PendingCall& call);
  /// Sees to it that a thread receives, other than the one that calls this.
  void ensure_receiver();
  /// Around a call that should be short: when it is not, another thread receives meanwhile.
  void be_patient(bool begin);
  /// Returns when a receiver is wanted, and this thread counts as one. False when it is one too
  /// many, or when all is over.
  bool become_receiver();
  bool add_thread();

  Listener& listener_;
  IpcNamespaces& namespaces_;
  KernelFeatures& features_;
  ThreadIdentities threads_seen_;
  ExpectedCalls expected_;
  Refusals refusals_;
  std::function<void(pid_t)> entered_;
  /// Tells parked threads to look again, eventfd(2) with EFD_SEMAPHORE.
  const UniqueFd wanted_;
  /// Expires when a call takes too long, timerfd_create(2).
  const UniqueFd patience_;
  /// Threads in NOTIF_RECV, or on their way there.
  std::atomic<int> receivers_{0};
  std::mutex mutex_;
  std::condition_variable ended_;
  int threads_ = 0;
  int parked_ = 0;
  bool over_ = false;
};

}  // namespace shmvisor
