// KeptState: what a server with a keeper notes for the next one, in the state file, and what it
// begins with itself.
//
// Errors: a clause that follows "the state". Ownership: borrows what the keeper has, and outlives
// the session. Thread rule: the main thread, before anybody is served.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "policy/base/result.h"
#include "supervisor/join/joined_commands.h"
#include "supervisor/journal/call_slots.h"
#include "supervisor/journal/change_journal.h"
#include "supervisor/journal/recovered_state.h"
#include "supervisor/launch/kept.h"
#include "supervisor/session/served_listener.h"
#include "supervisor/session/session.h"
#include "supervisor/tasks/background_task.h"

namespace shmvisor {

class KeptState {
 public:
  /// Null without a keeper.
  static Result<std::unique_ptr<KeptState>, std::string> read(const Kept* kept);

  /// The session, which is empty, has what there was, and notes its changes from now on.
  Result<void, std::string> bring_back(Session& session);
  /// The same for all sessions that there are. What is left of others is over.
  Result<void, std::string> bring_back(std::span<Session* const> sessions);
  /// A new session, which is empty, notes its changes from now on.
  void observe(Session& session) { session.registries().observe(journal_, session.number()); }
  /// Calls that came and were not answered go on; those to come are noted. So of commands that have
  /// joined, where there may be some.
  void bring_back(ServedListener& served, JoinedCommands* joined);

  // The same by hand:

  /// Where calls are noted.
  [[nodiscard]] CallSlots& slots() { return slots_; }
  /// The calls that came and were not answered. Once: it counts deaths.
  [[nodiscard]] std::vector<CallSlots::Left> take_calls();
  /// Those of them whose listeners are none of these are over.
  void forget_others(const std::vector<CallSlots::Left>& left, const std::vector<int>& listeners);

  /// False where segments' pages are still being locked: see end_process.h.
  bool wait_for_end(std::chrono::milliseconds bound) { return locking_.wait_for_end(bound); }

 private:
  KeptState(const Kept& kept, journal::RecoveredState state);

  /// `left`: a descriptor that is no segment's. Where it is of an IPC namespace that one of the
  /// sessions has a registry of, that holds it again, and it is among `held`: true then.
  struct Held {
    Session* session = nullptr;
    IpcNamespaceId id = 0;
    friend bool operator==(const Held&, const Held&) = default;
  };
  static bool hold_again(std::span<Session* const> sessions, UniqueFd& left,
                         std::vector<Held>& held);
  /// Of the session's IPC namespaces those that are not `held` may be over, and their numbers
  /// another's: their registries end.
  void end_unheld(Session& session, const std::vector<Held>& held) const;

  KeeperPage& page_;
  KeptVisitors* const visitors_;
  journal::RecoveredState state_;
  ChangeJournal journal_;
  CallSlots slots_;
  BackgroundTask locking_;
};

/// Ends this process, since no server after it will do better. `why`: a clause behind "the state".
[[noreturn]] void give_up_state(const Kept& kept, const std::string& why);
/// KeptState::read(), which gives up where that fails.
[[nodiscard]] std::unique_ptr<KeptState> read_or_give_up(const Kept* kept);

}  // namespace shmvisor
