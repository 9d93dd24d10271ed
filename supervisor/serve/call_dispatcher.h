// CallDispatcher: serves a received call: finds out who calls, and whether the call may be served
// now; has emulation/ decide; and answers.
//
// A caller can make its call keep a thread for as long as it likes. So the calls in service of one
// user are bounded (CallShares): further calls of that user wait without a thread.
//
// Ownership: borrows all arguments. Thread rule: any thread, once the pool has started.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/inject/loans.h"
#include "supervisor/inject/tracer_patience.h"
#include "supervisor/kernel/features.h"
#include "supervisor/namespaces/ipc_namespaces.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/listener.h"
#include "supervisor/notify/pending_call.h"
#include "supervisor/scope/access_warnings.h"
#include "supervisor/serve/call_judge.h"
#include "supervisor/serve/call_observer.h"
#include "supervisor/serve/call_shares.h"
#include "supervisor/serve/followed_clone.h"
#include "supervisor/serve/namespace_turns.h"
#include "supervisor/serve/receiver_pool.h"
#include "supervisor/serve/server_options.h"

namespace shmvisor {

class CallDispatcher final : public ReceiverPool::Handler {
 public:
  /// `pool`: the serving threads; it may be constructed later.
  CallDispatcher(Listener& listener, IpcNamespaces& namespaces, KernelFeatures& features,
                 const ServerOptions& options, ReceiverPool& pool, CallObserver& observer);

  /// Serves the call, if it may be served now, and then calls that waited for its end.
  void serve(const seccomp_notif& notif) noexcept override;
  [[nodiscard]] bool can_resume() override {
    return shares_.can_resume() || judge_.delayed().has_due() || namespace_turns_.has_next();
  }
  void resume() noexcept override;
  void limit_to(int calls) override { shares_.limit_to(calls); }
  std::chrono::milliseconds look() override;
  /// Whether delayed calls wait for their time, and so need look().
  [[nodiscard]] bool has_delayed_calls() { return judge_.delayed().any(); }

 private:
  class ServedCaller;

  void serve_received(const seccomp_notif& notif) noexcept;
  /// Serves a call that is counted as in service, and then calls that waited for its end.
  void serve_admitted(std::optional<CallShares::Next> next) noexcept;
  /// A call of the user has ended. Answers the one that this thread is to serve next.
  std::optional<CallShares::Next> leave_share(uid_t user) noexcept;
  /// The call is answered in any case: with ENOMEM where memory ran out. `admitted`: the user, if
  /// the call is counted as in service already. Returns the user whose call was in service; nothing
  /// if the call did not come into service.
  std::optional<uid_t> serve_one(const seccomp_notif& notif,
                                 std::optional<uid_t> admitted) noexcept;
  /// Counts the call as in service, and returns its user; nothing if the call was put aside or
  /// refused.
  std::optional<uid_t> admit(PendingCall& call, KnownThread& thread);
  /// How many more calls may be put aside, of whatever listener.
  [[nodiscard]] std::size_t room_to_wait() const;
  [[nodiscard]] CallOrigin origin_of(const PendingCall& call, const KnownThread& thread,
                                     uid_t user) const;
  /// Answers a call that no registry is asked about. `error`: an errno.
  void refuse(PendingCall& call, const CallOrigin& origin, int error,
              const Denial& denial) noexcept;
  /// `user`: the user whose share the call counts in.
  void answer(PendingCall& call, KnownThread thread, uid_t user);
  /// Answers a shmget, shmat, shmdt or shmctl, or a call that is none of these. `caller` waits for
  /// the answer.
  void answer_shm_call(PendingCall& call, ServedCaller& caller, Registry& registry,
                       ThreadIdentity& identity, CallOrigin origin);
  void change_namespaces(PendingCall& call, uid_t user);
  /// Lets a call through that may change its thread's IPC namespace, and sees to what it changes.
  void change_in_turn(PendingCall& call, uid_t user) noexcept;
  /// The same for one that waited for its turn, if its caller still waits.
  void change_late(const seccomp_notif& notif, uid_t user) noexcept;
  /// A turn of the user's is over. Carries out those that follow.
  void end_turn(uid_t user) noexcept;
  /// Answers a call that failed for want of memory, most likely.
  void fail(PendingCall& call, uid_t account, const std::exception& error) noexcept;

  Listener& listener_;
  IpcNamespaces& namespaces_;
  KernelFeatures& features_;
  const ServerOptions options_;
  ReceiverPool& pool_;
  CallObserver& observer_;
  TracerPatience tracer_patience_;
  ThreadIdentities threads_seen_;
  ExpectedCalls expected_;
  Loans loans_;
  FollowedClones followed_clones_;
  NamespaceTurns namespace_turns_;
  ServingBudget own_budget_;
  CallShares shares_;
  CallJudge judge_;
  AccessWarnings access_warnings_;
  std::atomic_flag told_of_strangers_;
};

}  // namespace shmvisor
