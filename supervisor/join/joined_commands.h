// JoinedCommands: the serving side: takes the listeners of commands that other shmvisors started,
// and serves their calls, and their files in /proc, from one session.
//
// A joining shmvisor is met with no more trust than its command: whoever may connect (JoinSocket)
// is served if the kernel lets us reach its processes at all (ptrace(2), access mode checks: of our
// own user, or anybody's with CAP_SYS_PTRACE). What it sends must be what it should be; it has a
// bounded time, and nothing here waits for it: what may take long is done by an Admission. When too
// many say nothing, the oldest of the user who has most of them is sent away; and each user may
// have so many commands joined, and asking: so nobody can keep another user from joining. A user is
// that of accountable_user.h.
//
// The command finds the shared registry in the IPC namespace that its shmvisor lives in, if
// another, and has no right over it by that (IpcNamespaces). What its filter shows of unshare(2)
// and setns(2) is not relied on.
//
// Ownership: borrows the loop, in which it does its part; shares the session, to whose scope it
// adds one of who has joined; owns all else. To be destroyed after drain() succeeded; otherwise the
// process must end without that: end_process.h. Thread rule: the main thread.
#pragma once

#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/join/admission.h"
#include "supervisor/join/join_messages.h"
#include "supervisor/join/join_socket.h"
#include "supervisor/join/peer_process.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/scope/supervised_scope.h"
#include "supervisor/session/server_pool.h"
#include "supervisor/session/session.h"

namespace shmvisor {

class JoinedCommands {
 public:
  /// Connected, and not heard yet.
  static constexpr std::size_t kMostVisitors = 32;
  /// Commands of one user who is not the server's, joined or about to be.
  static constexpr std::ptrdiff_t kMostOfAnotherUser = 64;

  JoinedCommands(EventLoop& loop, JoinSocket socket, std::shared_ptr<Session> session);
  JoinedCommands(const JoinedCommands&) = delete;
  JoinedCommands& operator=(const JoinedCommands&) = delete;
  ~JoinedCommands();

  /// Whether no process of any joined command is left. Files in /proc that somebody else keeps
  /// mounted count for a second only.
  [[nodiscard]] bool all_gone() const;

  /// Nobody can join any more, and calls in flight are answered. False where some are not in time,
  /// or where joined commands live on, unserved from now on.
  bool drain();

 private:
  using Clock = EventLoop::Clock;

  /// Connected, and has not asked yet.
  struct Visitor {
    UniqueFd connection;
    PeerProcess peer;
    DescriptorShare::Part descriptors = {};
    EventLoop::Source asked = {};
    EventLoop::Source ended = {};  ///< its process; somebody else may keep the connection open
    EventLoop::Timer late = {};
  };
  using Visitors = std::list<Visitor>;
  /// Has asked for something, and is being heard and looked at or is to be.
  struct Applicant {
    Visitor visitor;
    std::shared_ptr<Admission> admission = nullptr;
    EventLoop::Source admission_over = {};
    EventLoop::Timer late = {};
  };
  using Applicants = std::list<Applicant>;
  /// One that is under way still, though whoever asked for it may have been sent away.
  struct Underway {
    uid_t payer = 0;
    std::weak_ptr<Admission> admission;
  };
  struct Joined;

  void greet_visitors();
  /// Waits for what it has to say, for a while. `visitor`: the only one in its list.
  void expect(Visitors& visitor);
  /// Sends a visitor away. Precondition: there is one.
  void make_room();
  /// All who have asked.
  void hear_visitors();
  void hear(Visitors::iterator visitor);
  /// Of one that is to be an applicant: why it cannot be.
  [[nodiscard]] std::string check(const Visitor& visitor) const;
  /// Has all looked at that wait for it, and may be by now.
  void begin_admissions();
  /// Answers, and is done with it.
  void conclude(Applicants::iterator applicant);
  void give_up(Applicants::iterator applicant, const std::string& why);
  /// How many commands of the user may join yet.
  [[nodiscard]] std::ptrdiff_t room_for(uid_t payer) const;
  /// Whether another admission of the user's may begin.
  bool may_begin(uid_t payer);
  /// Takes the command in, or says why not.
  std::string admit(Applicant& applicant, Admission::Findings& findings);
  void answer(Applicant& applicant, const std::string& refusal,
              const Admission::Findings& findings);
  void refuse(const Visitor& visitor, const std::string& refusal);
  void forget_ended();
  void forget(const Joined& joined);

  EventLoop& loop_;
  JoinSocket socket_;
  const std::shared_ptr<Session> session_;
  const std::shared_ptr<SupervisedScope> scope_;
  Visitors visitors_;
  Applicants applicants_;
  std::list<Underway> underway_;
  std::list<Joined> joined_;
  /// Paused for a while after accept(2) ran out of descriptors.
  EventLoop::Source newcomers_;
  EventLoop::Timer admit_again_;   ///< while applicants wait for the admissions of others
  EventLoop::Timer forget_again_;  ///< while files of those that have ended are mounted
  /// Last, because its servers use what is joined.
  ServerPool pool_;
};

}  // namespace shmvisor
