// ServerOptions: how the calls of one listener are served.
//
// Ownership: borrows what it points to. Thread rule: plain values.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/inject/call_page.h"
#include "supervisor/inject/tracer_patience.h"
#include "supervisor/namespaces/ipc_home.h"
#include "supervisor/serve/call_ring.h"
#include "supervisor/serve/call_rules.h"
#include "supervisor/serve/call_shares.h"
#include "supervisor/serve/call_tally.h"
#include "supervisor/serve/serving_budget.h"

namespace shmvisor {

struct ServerOptions {
  /// What is kept of threads from call to call; their namespaces only if the filter is ours.
  Remembered remembered = Remembered::kAll;
  /// Where the callers come from; null where that is our own IPC namespace.
  std::shared_ptr<IpcHome> home = {};
  /// The most threads; with more calls, callers wait for one another.
  int most_threads = 1024;
  /// What bounds the calls in service of all servers of this process; borrowed. Null: only
  /// most_threads bounds those of this one.
  ServingBudget* budget = nullptr;
  /// The group in that budget of the users who call here; the number of the session.
  std::uint32_t payer_group = 0;
  /// Calls of one user that wait for a thread; further ones are refused.
  std::size_t most_waiting_of_user = CallShares::kMostWaitingOfUser;
  /// Where calls are told to those who follow them; borrowed. Null: nowhere.
  CallRing* ring = nullptr;
  /// Where calls are counted; borrowed. Null: nowhere.
  CallTally* tally = nullptr;
  /// The operator's rules for calls; borrowed. Null: none.
  CallRules* rules = nullptr;
  /// What rules know the callers' container by.
  std::vector<std::string> containers = {};
  /// Callers that are remembered; each costs a descriptor.
  std::size_t most_remembered = ThreadIdentities::kMost;
  /// How long an attach or detach waits for another tracer to leave its caller.
  std::chrono::milliseconds tracer_wait = TracerPatience::kDefault;
  /// The code page that callers may run, where the filter is ours; borrowed. Null for none.
  const CallPage* call_page = nullptr;
  /// A thread that unshare(2) or setns(2) may have put into another IPC namespace is held until
  /// this returns, which gets its tid and its user (accountable_user.h). Where it is not empty.
  std::function<void(pid_t, uid_t)> on_namespace_change = {};
};

}  // namespace shmvisor
