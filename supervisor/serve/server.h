// Server: the threads that receive calls and answer them.
//
// One thread blocks in NOTIF_RECV, itself: only so does the kernel hand it the CPU of the caller
// (an epoll in between loses that); and alone, because several are woken in turn, each with cold
// caches, which doubles the time of a call. The others are parked. One of them takes over when a
// second call is waiting already, before a step that takes long (counting a thousand processes),
// and when a call keeps its thread for more than a millisecond: a mapping that is populated, or a
// copy to memory that belongs to a userfaultfd or a file system of the caller's.
//
// A server whose callers are quiet can be laid to rest, without a thread.
//
// Ownership: borrows what it is given. Thread rule: start, rest and wait from one thread.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
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

struct ServerOptions {
  /// Whether the filter shows us unshare(2) and setns(2): only then is remembered who lives where.
  bool sees_namespace_changes = true;
  /// Threads at most; beyond it callers wait for one another.
  int most_threads = 1024;
};

class Server {
 public:
  /// Threads that stay parked when there is nothing to do.
  static constexpr int kMostParked = 3;

  Server(Listener& listener, IpcNamespaces& namespaces, KernelFeatures& features,
         const ServerOptions& options = {});
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// From now on a thread that unshare(2) or setns(2) may have put into another IPC namespace is
  /// held until `entered` returns, which gets its tid. Before start().
  void on_namespace_change(std::function<void(pid_t)> entered) { entered_ = std::move(entered); }

  /// Sees to it that a thread receives. EAGAIN where the threads, EMFILE where their descriptors
  /// cannot be had.
  Result<void> start();

  /// Sends the threads away that have no call; the others finish theirs first. To be repeated until
  /// idle(), because a thread that is just about to receive misses it; and undone by start(). For
  /// somebody who watches the listener meanwhile.
  void rest();
  /// Whether no thread is left: then it may be destroyed.
  [[nodiscard]] bool idle() const;
  /// Calls received so far.
  [[nodiscard]] std::uint64_t received() const { return received_.load(); }

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
  const ServerOptions options_;
  ThreadIdentities threads_seen_;
  ExpectedCalls expected_;
  Refusals refusals_;
  std::function<void(pid_t)> entered_;
  /// Tells parked threads to look again, eventfd(2) with EFD_SEMAPHORE.
  UniqueFd wanted_;
  /// Expires when a call takes too long, timerfd_create(2).
  UniqueFd patience_;
  /// Threads in NOTIF_RECV, or on their way there.
  std::atomic<int> receivers_{0};
  /// The thread that is in NOTIF_RECV, or about to be; 0 for none.
  std::atomic<pid_t> receiver_tid_{0};
  std::atomic<std::uint64_t> received_{0};
  std::atomic_flag told_of_strangers_;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  int threads_ = 0;
  int parked_ = 0;
  bool over_ = false;
  bool resting_ = false;
};

}  // namespace shmvisor
