// JoinedCommands: the serving side: takes the listeners of commands that other shmvisors started,
// and serves their calls, and their files in /proc, from one session.
//
// A joining shmvisor is trusted no more than its command. A process that may connect (JoinSocket)
// is served if the kernel lets us reach its processes (ptrace(2), access mode checks: those of our
// own user, or all with CAP_SYS_PTRACE). Its messages are checked, and its time is bounded. Nothing
// here waits for it: what may take long is done by an Admission. When too many visitors are silent,
// the user with most of them loses its oldest one. The commands of each user, joined and asking,
// are bounded. Only files whose last close does not end can keep others from joining (limits.md).
// Users are those of accountable_user.h.
//
// If its shmvisor lives in another IPC namespace, the command finds the shared registry there, but
// gets no right over it by that (IpcNamespaces). Its filter's notifications of unshare(2) and
// setns(2) are not relied on.
//
// With a keeper all that was found out about a joined command is noted before the visitor gets its
// answer (KeptVisitors), and the next server goes on serving the command: it asks no process again.
// A visitor that has no answer yet finds its connection closed, and asks again.
//
// A visitor decides how long the last close of its connection takes, by the files that wait there,
// and that of its listener. So both are StrangersFiles.
//
// Ownership: borrows the loop, in which it runs; shares the session, to whose scope it adds that of
// the joined processes; owns all else. Destroyed only after drain() succeeded; otherwise the
// process must end without that: end_process.h. Thread rule: the main thread.
#pragma once

#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/limits/allowances.h"
#include "supervisor/join/admission.h"
#include "supervisor/join/join_messages.h"
#include "supervisor/join/join_socket.h"
#include "supervisor/join/peer_process.h"
#include "supervisor/journal/call_slots.h"
#include "supervisor/keeper/kept_visitors.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/resources/strangers_file.h"
#include "supervisor/scope/supervised_scope.h"
#include "supervisor/session/server_pool.h"
#include "supervisor/session/session.h"

namespace shmvisor {

class JoinedCommands {
 public:
  /// The most visitors: connected, without a request yet.
  static constexpr std::size_t kMostVisitors = 32;
  /// The most commands, joined or asking, of one user other than the server's.
  static constexpr std::ptrdiff_t kMostOfAnotherUser = 64;

  /// `label`: what rules for containers call them; empty: nothing.
  JoinedCommands(EventLoop& loop, JoinSocket socket, std::shared_ptr<Session> session,
                 std::string label = {});
  JoinedCommands(const JoinedCommands&) = delete;
  JoinedCommands& operator=(const JoinedCommands&) = delete;
  ~JoinedCommands();

  /// Notes joined commands and their calls in `kept` and `slots`, borrowed; and goes on serving the
  /// commands that another process has noted there, with their calls in `left`. Before anything
  /// else.
  void go_on_with(KeptVisitors& kept, CallSlots& slots, std::span<const CallSlots::Left> left);

  /// Whether no process of any joined command is left. Files in /proc that a process keeps mounted
  /// count for a second only.
  [[nodiscard]] bool all_gone() const;

  /// Sees at once which have ended.
  void look() { pool_->look(); }
  /// Commands that have joined, and are not seen to have ended.
  [[nodiscard]] std::size_t count() const;

  /// Ends joining, and waits until the calls in service are answered. False where some are not in
  /// time, or where joined commands live on, which are not served any more.
  bool drain();

 private:
  using Clock = EventLoop::Clock;

  /// A process that is connected, and has not sent a request yet.
  struct Visitor {
    StrangersFile connection;
    PeerProcess peer = {};
    EventLoop::Source asked = {};
    EventLoop::Source ended = {};  ///< its process; another one may keep the connection open
    EventLoop::Timer late = {};
  };
  using Visitors = std::list<Visitor>;
  /// A process that has sent a request, whose Admission runs or is still to begin.
  struct Applicant {
    Visitor visitor;
    std::shared_ptr<Admission> admission = nullptr;
    EventLoop::Source admission_over = {};
    EventLoop::Timer late = {};
  };
  using Applicants = std::list<Applicant>;
  /// An Admission that still runs; its applicant may be gone.
  struct Underway {
    uid_t payer = 0;
    std::weak_ptr<Admission> admission;
  };
  class Root;
  struct Joined;
  /// All that is needed of a command to serve it.
  struct Admitted {
    uid_t payer = 0;
    SupervisedScope::Root root;
    std::chrono::milliseconds tracer_wait;
    StrangersFile listener;   ///< invalid: its processes have ended
    UniqueFd files;           ///< invalid: it has none
    UniqueFd user_namespace;  ///< invalid: ours
    Result<UniqueFd> ipc_namespace = Errno(ESRCH);
    KeptVisitor* kept = nullptr;
    bool comes_back = false;  ///< it was admitted by a server that died
    std::span<const CallSlots::Left> left = {};
  };

  void greet_visitors();
  /// Waits for the visitor's request, for a while. `visitor`: a list of this visitor alone.
  void expect(Visitors& visitor);
  /// Drops a visitor. Precondition: there is one.
  void make_room();
  /// Makes applicants of the visitors that have sent a request.
  void hear_visitors();
  void hear(Visitors::iterator visitor);
  /// Why the visitor cannot become an applicant; empty where it can.
  [[nodiscard]] std::string_view check(const Visitor& visitor) const;
  /// Begins the admissions that wait and may begin now.
  void begin_admissions();
  /// Answers the applicant, and removes it.
  void conclude(Applicants::iterator applicant);
  void give_up(Applicants::iterator applicant, std::string_view why);
  /// How many more commands of the user may join.
  [[nodiscard]] std::ptrdiff_t room_for(uid_t payer) const;
  /// Whether another admission of the user's may begin, which it does then.
  bool may_begin(uid_t payer);
  /// Admits the command; otherwise answers why not. What throws has admitted nothing.
  std::string admit(Applicant& applicant, Admission::Findings& findings);
  /// Why what was found does not do; empty where it does.
  static std::string object_to(const Visitor& visitor, const Admission::Findings& findings);
  /// Serves the command from now on, which is the last of joined_ then; otherwise answers why not.
  /// What throws has done nothing. `error`: why its files in /proc are not served, an errno.
  std::string serve(Admitted& admitted, int& error);
  /// Answers an errno, or 0.
  static int serve_files(Joined& joined, Admitted& admitted) noexcept;
  /// Notes what is known of it. False where there is no room.
  bool note(const Visitor& visitor, Admitted& admitted);
  /// Before the answer is sent, and behind it.
  static void begin_answer(KeptVisitor& kept, const join::Answer& answer, const UniqueFd& mount);
  static void end_answer(KeptVisitor& kept, bool is_sent);
  /// Serves a command that another process has noted.
  std::string bring_back(KeptVisitor& kept, std::span<const CallSlots::Left> left);
  void answer(Applicant& applicant, const Admission::Findings& findings);
  void refuse(const Visitor& visitor, std::string_view refusal) const;
  void forget_ended();
  void forget(const Joined& joined);

  EventLoop& loop_;
  JoinSocket socket_;
  const std::shared_ptr<Session> session_;
  const std::string label_;
  const std::shared_ptr<SupervisedScope> scope_;
  KeptVisitors* kept_ = nullptr;  ///< null without a keeper
  CallSlots* slots_ = nullptr;
  Visitors visitors_;
  Applicants applicants_;
  std::list<Underway> underway_;
  Allowances<uid_t> allowances_;
  std::list<Joined> joined_;
  /// Paused for a while after accept(2) failed.
  EventLoop::Source newcomers_;
  EventLoop::Timer admit_again_;   ///< while applicants wait for their turn
  EventLoop::Timer forget_again_;  ///< while files of those that have ended are mounted
  /// The last member, because its servers use the others. Always there.
  std::optional<ServerPool> pool_;
};

}  // namespace shmvisor
