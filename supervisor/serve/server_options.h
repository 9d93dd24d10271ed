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
  /// What is remembered of a thread from call to call; its namespaces only if the filter is ours.
  Remembered remembered = Remembered::kAll;
  /// The IPC namespace that the callers come from; null if that is our own.
  std::shared_ptr<IpcHome> home = {};
  /// The most threads; with more calls, callers wait for one another.
  int most_threads = 1024;
  /// Bounds the calls in service of all servers of this process; borrowed. Null: only most_threads
  /// bounds the calls of this server.
  ServingBudget* budget = nullptr;
  /// The group, in that budget, of the users who call here; the number of the session.
  std::uint32_t payer_group = 0;
  /// The most calls of one user that wait for a thread; further ones are refused.
  std::size_t most_waiting_of_user = CallShares::kMostWaitingOfUser;
  /// Takes the calls for clients that follow them; borrowed. Null: none.
  CallRing* ring = nullptr;
  /// Counts the calls; borrowed. Null: none.
  CallTally* tally = nullptr;
  /// The operator's rules for calls; borrowed. Null: none.
  CallRules* rules = nullptr;
  /// The names by which rules know the callers' container.
  std::vector<std::string> containers = {};
  /// The most callers that are remembered; each costs a descriptor.
  std::size_t most_remembered = ThreadIdentities::kMost;
  /// How long an attach or detach waits for another tracer to leave its caller.
  std::chrono::milliseconds tracer_wait = TracerPatience::kDefault;
  /// The code page that callers may run, if the filter is ours; borrowed. Null for none.
  const CallPage* call_page = nullptr;
  /// Called, if not empty, with the tid and the user (accountable_user.h) of a thread that
  /// unshare(2) or setns(2) may have put into another IPC namespace. The thread is held until this
  /// returns.
  std::function<void(pid_t, uid_t)> on_namespace_change = {};
};

}  // namespace shmvisor
