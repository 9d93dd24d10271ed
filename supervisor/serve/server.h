// Server: the threads that receive calls and answer them.
//
// A thread that receives blocks in NOTIF_RECV, itself: only so does the kernel hand it the CPU of
// the caller (an epoll in between loses that). Each call wakes all threads that are blocked there,
// and on that one CPU; so a single thread receives, and others are parked. Handing over takes
// longer than answering a shmget, so that calls which are answered at once queue for it. Another
// thread takes over
//   - when an attach or detach begins and another call waits already;
//   - before a step that takes long (counting a thousand processes);
//   - when a call keeps its thread for more than a millisecond or two: a mapping that is populated,
//     a copy to memory that belongs to a userfaultfd or a file system of the caller's, memory that
//     is freed;
//   - before each such copy, while there is a call that is kept so: there may be many of them.
//
// A server whose callers are quiet can be laid to rest, without a thread.
//
// A call keeps its thread for as long as its caller likes. So the calls of one user that are in
// service are bounded (CallShares): further ones of it wait, without a thread, and threads are left
// for the calls of others.
//
// Ownership: borrows what it is given. Thread rule: start, rest and wait from one thread.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "policy/base/result.h"
#include "supervisor/inject/call_page.h"
#include "supervisor/inject/loans.h"
#include "supervisor/inject/tracer_patience.h"
#include "supervisor/kernel/features.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/listener.h"
#include "supervisor/notify/pending_call.h"
#include "supervisor/process/ipc_namespaces.h"
#include "supervisor/process/refusals.h"
#include "supervisor/process/thread_identity.h"
#include "supervisor/serve/call_shares.h"
#include "supervisor/serve/lookout.h"

namespace shmvisor {

struct ServerOptions {
  /// What is kept of threads from call to call: where they live only if the filter is ours.
  Remembered remembered = Remembered::kAll;
  /// Where the callers come from; null where that is our own IPC namespace.
  std::shared_ptr<IpcHome> home = {};
  /// Threads at most; beyond it callers wait for one another.
  int most_threads = 1024;
  /// What bounds the calls in service of all servers of this process; borrowed. Null: only
  /// most_threads bounds those of this one.
  ServingBudget* budget = nullptr;
  /// Of the users who call here, in that budget.
  std::uint32_t payer_group = 0;
  /// Callers that are remembered; each costs a descriptor.
  std::size_t most_remembered = ThreadIdentities::kMost;
  /// How long an attach or detach waits for somebody else's tracer to leave its caller.
  std::chrono::milliseconds tracer_wait = TracerPatience::kDefault;
  /// What callers may run, where the filter is ours; borrowed. Null for none.
  const CallPage* call_page = nullptr;
  /// A thread that unshare(2) or setns(2) may have put into another IPC namespace is held until
  /// this returns, which gets its tid. Where it is not empty.
  std::function<void(pid_t)> on_namespace_change = {};
};

class Server {
 public:
  /// Threads that stay parked when there is nothing to do.
  static constexpr int kMostParked = 3;

  Server(Listener& listener, IpcNamespaces& namespaces, KernelFeatures& features,
         const ServerOptions& options = {});
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Sees to it that a thread receives. EAGAIN where the threads, EMFILE where a descriptor
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

  /// Receives no further call, and waits until all threads have ended; those that wait for a call
  /// are woken, for before Linux 6.11 NOTIF_RECV does not say that no supervised task is left.
  /// False where a thread is kept longer than a second. The process must then end without
  /// destroying what it uses.
  bool wait_for_end();

 private:
  class ServedCaller;
  /// Calls away who waits for a call. mutex_ held.
  void wake_receivers();
  /// A thread of ours, as somebody sees who wants to call it away from NOTIF_RECV.
  struct Worker {
    const pid_t tid;
    std::atomic<bool> receiving{false};
  };

  /// What a thread does first: wait to be called, or serve calls that were put aside.
  enum class Begin : std::uint8_t { kParked, kResuming };
  template <Begin begin>
  static void* enter(void* self);
  void run(Begin begin);
  /// Serves the call, if its user may have it served now, and then those that waited for its end.
  void serve(const seccomp_notif& notif) noexcept;
  /// Serves a call that is counted as in service, and then those that waited for its end.
  void serve_admitted(std::optional<CallShares::Next> next) noexcept;
  /// Whatever happens, the call is answered: with ENOMEM where memory ran out. `admitted`: the user
  /// as whose call it is in service already. Answers whose call was in service; nothing where it
  /// was not.
  std::optional<uid_t> serve_one(const seccomp_notif& notif,
                                 std::optional<uid_t> admitted) noexcept;
  /// The user as whose call it is in service now. Nothing where it was put aside, or refused.
  std::optional<uid_t> admit(PendingCall& call, KnownThread& thread);
  /// `user`: as whose call it is in service.
  void answer(PendingCall& call, KnownThread thread, uid_t user);
  void change_namespaces(PendingCall& call, const KnownThread& thread);
  /// Sees to it that a thread receives, other than the one that calls this.
  void ensure_receiver();
  /// Before a step that the caller may draw out. Where another call is drawn out already, somebody
  /// else is to receive at once.
  void expect_wait();
  /// The same as ensure_receiver(), mutex_ held. False where no thread can be had.
  bool call_receiver();
  /// Of the lookout: when it is to look again.
  std::chrono::milliseconds look();
  /// Sees to calls that were put aside and may be served now.
  void look_after_aside();
  /// Whether the last receiver is gone to serve a call, and has to be looked after.
  bool look_after_receiver();
  /// Returns when a receiver is wanted, and this thread counts as one. False when it is one too
  /// many, or when all is over. mutex_ held.
  bool become_receiver(std::unique_lock<std::mutex>& lock);
  /// Waits to be called; counted in parked_ already. mutex_ held.
  void park(std::unique_lock<std::mutex>& lock);
  /// mutex_ held. False where none can be had, or there are as many as there may be.
  bool add_thread(Begin begin = Begin::kParked);

  Listener& listener_;
  IpcNamespaces& namespaces_;
  KernelFeatures& features_;
  const ServerOptions options_;
  TracerPatience tracer_patience_;
  ThreadIdentities threads_seen_;
  ExpectedCalls expected_;
  Loans loans_;
  ServingBudget own_budget_;
  CallShares shares_;
  Refusals refusals_;
  const cpu_set_t cpus_;  ///< that all threads may run on
  /// Threads in NOTIF_RECV, or on their way there.
  std::atomic<int> receivers_{0};
  std::atomic<std::uint64_t> received_{0};
  std::atomic<int> served_{0};   ///< calls that a thread is busy with
  std::uint64_t looked_at_ = 0;  ///< how many were received when the lookout last looked
  std::atomic_flag told_of_strangers_;
  mutable std::mutex mutex_;
  std::condition_variable called_;
  std::condition_variable ended_;
  std::vector<Worker*> workers_;
  int threads_ = 0;
  int parked_ = 0;
  int calls_to_parked_ = 0;  ///< to receive; each takes one thread away
  bool over_ = false;
  bool resting_ = false;
  Lookout lookout_;  ///< the last member, because it uses the others
};

}  // namespace shmvisor
