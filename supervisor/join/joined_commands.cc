#include "supervisor/join/joined_commands.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "supervisor/join/join_messages.h"
#include "supervisor/join/joined_command.h"
#include "supervisor/join/tell_of_join.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/descriptor_path.h"
#include "supervisor/kernel/poll_files.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/loop/accept_pause.h"
#include "supervisor/resources/pause_for_closes.h"

namespace shmvisor {
namespace {

constexpr std::chrono::seconds kVisitBound(30);
/// For an admission, which takes a millisecond; and to wait for others of the same user's.
constexpr std::chrono::seconds kAdmissionBound(5);
/// Of one user: each may keep a thread for as long as the visitor likes.
constexpr std::ptrdiff_t kMostAdmissionsOfAUser = 4;
/// Of another user than ours: so many at once, and one more every so often. Each forks, and keeps
/// all threads from their page faults meanwhile (receive_screened()).
constexpr int kAdmissionsAtOnce = 32;
constexpr std::chrono::milliseconds kForOneMoreAdmission(50);
/// Whose admissions those of too many users are.
constexpr uid_t kAnyUser = ~uid_t{0};
/// Visitors beyond that wait in the socket's queue.
constexpr int kMostGreetedInATurn = 32;
constexpr std::ptrdiff_t kMostJoined = 1024;
/// The largest --tracer-wait.
constexpr std::chrono::milliseconds kMostTracerWait = std::chrono::hours(1);
constexpr std::chrono::milliseconds kDrainBound(1000);
/// At admissions whose thread is about to end; and at files in /proc whose last mount is.
constexpr std::chrono::milliseconds kBetweenAdmissions(10);
constexpr std::chrono::milliseconds kBetweenLooks(100);
/// The connection, a pidfd, what may come over it, and what tells that an admission is over.
constexpr std::int64_t kDescriptorsOfAVisitor = 5;
/// For files in /proc, once the last process under the filter has ended.
constexpr std::chrono::seconds kUnmountBound(1);
constexpr std::string_view kOutOfMemory = "the server is out of memory";

}  // namespace

JoinedCommands::JoinedCommands(EventLoop& loop, JoinSocket socket, std::shared_ptr<Session> session,
                               std::string label)
    : loop_(loop),
      socket_(std::move(socket)),
      session_(std::move(session)),
      label_(std::move(label)),
      scope_(std::make_shared<SupervisedScope>(session_->features())),
      allowances_(kAdmissionsAtOnce, kForOneMoreAdmission),
      newcomers_(loop.watch(socket_.fd(), POLLIN,
                            [this](short) {
                              hear_visitors();  // before a visitor with a request must make room
                              greet_visitors();
                            })),
      admit_again_(loop.timer([this] { begin_admissions(); })),
      forget_again_(loop.timer([this] { forget_ended(); })),
      pool_(std::in_place, loop) {
  session_->scope().add(scope_);
}

JoinedCommands::~JoinedCommands() {
  // What is closed elsewhere keeps nothing of the session's share.
  pool_.reset();
  visitors_.clear();
  applicants_.clear();
  joined_.clear();
  LastCloses::all().forget_shares();
}

void JoinedCommands::greet_visitors() {
  for (int greeted = 0; greeted < kMostGreetedInATurn; ++greeted) {
    if (paused_for_closes(newcomers_)) {
      log_limited(spdlog::level::warn, LogTopic::kJoins, LogLimiter::kNobody,
                  "nobody can join for a moment: too many connections of processes that wanted to "
                  "cannot be closed");
      return;
    }
    Visitors visitor(1);  // before there is a descriptor for it
    auto accepted = socket_.accept();
    if (!accepted) {
      if (paused_after_accept(accepted.error(), newcomers_)) {
        log_limited(spdlog::level::warn, LogTopic::kJoins, LogLimiter::kNobody,
                    "cannot accept a connection of a command that wants to join yet: {}",
                    std::strerror(accepted.error().value()));
      }
      return;
    }
    StrangersFile& connection = visitor.front().connection;
    PeerProcess& peer = visitor.front().peer;
    connection.hold(std::move(*accepted));
    peer = PeerProcess::of(connection.fd());
    connection.charge(peer.payer());
    auto descriptors = session_->descriptors().take(peer.payer(), kDescriptorsOfAVisitor);
    if (!descriptors) continue;  // it finds its connection closed
    connection.pay(std::move(*descriptors));
    if (!send_message(connection.get(), join::Greeting())) continue;
    spdlog::debug("process {} of user {} wants to join", peer.pid(), peer.user());
    if (visitors_.size() >= kMostVisitors) make_room();
    expect(visitor);
    visitors_.splice(visitors_.end(), visitor);
  }
}

void JoinedCommands::expect(Visitors& visitor) {
  const auto at = visitor.begin();
  const auto send_away = [this, at] { visitors_.erase(at); };
  at->asked = loop_.watch(at->connection.get(), POLLIN, [this, at](short) { hear(at); });
  at->ended = loop_.watch(at->peer.pidfd().get(), POLLIN, [send_away](short) { send_away(); });
  at->late = loop_.timer(send_away);
  at->late.set(Clock::now() + kVisitBound);
}

void JoinedCommands::make_room() {
  std::unordered_map<uid_t, int> of_user;
  for (const Visitor& visitor : visitors_) ++of_user[visitor.peer.payer()];
  const auto most = std::max_element(
      of_user.begin(), of_user.end(),
      [](const auto& one, const auto& other) { return one.second < other.second; });
  const auto oldest = std::find_if(visitors_.begin(), visitors_.end(), [&](const Visitor& visitor) {
    return visitor.peer.payer() == most->first;
  });
  spdlog::debug("process {} makes room for others who want to join", oldest->peer.pid());
  visitors_.erase(oldest);
}

void JoinedCommands::hear_visitors() {
  for (auto visitor = visitors_.begin(); visitor != visitors_.end();) {
    const auto current = visitor++;
    if (events_now(current->connection.get(), POLLIN).value_or(0) != 0) hear(current);
  }
}

void JoinedCommands::hear(Visitors::iterator visitor) {
  // What it has sent is received elsewhere, since it may not be possible to close the files.
  char byte = 0;
  const bool asks = ::recv(visitor->connection.get(), &byte, sizeof(byte), MSG_PEEK) > 0;
  const std::string_view refusal = asks ? check(*visitor) : "";
  if (!refusal.empty()) refuse(*visitor, refusal);
  if (!asks || !refusal.empty()) {
    visitors_.erase(visitor);
    return;
  }
  Applicants applicant;
  const auto at = applicant.emplace(applicant.end());
  at->late = loop_.timer([this, at] { give_up(at, "its process could not be looked at in time"); });
  at->late.set(Clock::now() + kAdmissionBound);
  at->visitor = std::move(*visitor);
  visitors_.erase(visitor);
  at->visitor.asked.reset();
  at->visitor.ended.reset();
  at->visitor.late.reset();
  applicants_.splice(applicants_.end(), applicant);
  begin_admissions();
}

std::string_view JoinedCommands::check(const Visitor& visitor) const {
  if (room_for(visitor.peer.payer()) <= 0) return "too many commands have joined already";
  if (visitor.peer.pid() == 0) return "it cannot be seen from the server's pid namespace";
  return {};
}

void JoinedCommands::begin_admissions() {
  admit_again_.set_by(Clock::now() + kBetweenAdmissions);
  bool some_wait = false;
  for (auto next = applicants_.begin(); next != applicants_.end();) {
    const auto applicant = next++;
    if (applicant->admission != nullptr) continue;
    const Visitor& visitor = applicant->visitor;
    if (!may_begin(visitor.peer.payer())) {
      some_wait = true;
      continue;
    }
    std::list<Underway> underway;
    underway.push_back({visitor.peer.payer(), {}});
    auto begun =
        Admission::begin(visitor.peer.pid(), visitor.peer.payer(), visitor.connection.fd());
    if (!begun) {
      give_up(applicant, "the server has no thread or descriptor for it");
      continue;
    }
    underway.back().admission = *begun;
    underway_.splice(underway_.end(), underway);
    applicant->admission = std::move(*begun);
    try {
      applicant->admission_over = loop_.watch(applicant->admission->fd(), POLLIN,
                                              [this, applicant](short) { conclude(applicant); });
    } catch (const std::bad_alloc&) {  // its request is received, and cannot be once more
      give_up(applicant, kOutOfMemory);
    }
  }
  if (!some_wait) admit_again_.cancel();
}

void JoinedCommands::conclude(Applicants::iterator applicant) {
  if (!applicant->admission->over()) return;  // what hands the findings over; the event only wakes
  Admission::Findings findings = applicant->admission->take();
  std::optional<std::string> refusal;
  try {
    refusal = admit(*applicant, findings);
  } catch (const std::bad_alloc&) {  // no words of our own are to be had
  }
  if (refusal && refusal->empty()) {
    answer(*applicant, findings);
  } else {
    refuse(applicant->visitor, refusal ? std::string_view(*refusal) : kOutOfMemory);
  }
  applicants_.erase(applicant);
  begin_admissions();
}

void JoinedCommands::give_up(Applicants::iterator applicant, std::string_view why) {
  refuse(applicant->visitor, why);
  applicants_.erase(applicant);
}

bool JoinedCommands::may_begin(uid_t payer) {
  std::erase_if(underway_, [](const Underway& one) {
    return one.admission.expired();  // its thread may be kept for longer than it takes
  });
  if (std::ranges::count(underway_, payer, &Underway::payer) >= kMostAdmissionsOfAUser)
    return false;
  return payer == ::geteuid() || allowances_.of(payer, kAnyUser, Clock::now()).take();
}

std::ptrdiff_t JoinedCommands::room_for(uid_t payer) const {
  const auto all = static_cast<std::ptrdiff_t>(joined_.size() + applicants_.size());
  if (payer == ::geteuid()) return kMostJoined - all;
  const auto of_user = std::ranges::count(joined_, payer, &Joined::payer) +
                       std::ranges::count_if(applicants_, [payer](const auto& one) {
                         return one.visitor.peer.payer() == payer;
                       });
  return std::min(kMostJoined - all, kMostOfAnotherUser - of_user);
}

std::string JoinedCommands::object_to(const Visitor& visitor, const Admission::Findings& findings) {
  if (findings.out_of_memory) return std::string(kOutOfMemory);
  if (!findings.heard) return "it sent no request";
  if (findings.asked.request.words != join::kRequestWords)
    return "it is another version of shmvisor";
  if (!findings.asked.listener.valid())
    return "it handed over something else than a seccomp listener";
  if (!findings.within_reach) {
    return "the kernel lets the server map nothing into processes of process " +
           std::to_string(visitor.peer.pid()) +
           ": both must be of one user, and kernel.yama.ptrace_scope 0, or the server needs "
           "CAP_SYS_PTRACE";
  }
  return {};
}

std::string JoinedCommands::admit(Applicant& applicant, Admission::Findings& findings) {
  const Visitor& visitor = applicant.visitor;
  if (auto objection = object_to(visitor, findings); !objection.empty()) return objection;
  Admitted admitted;
  admitted.payer = visitor.peer.payer();
  admitted.root = SupervisedScope::look_at(visitor.peer.pid());
  admitted.tracer_wait =
      std::min(std::chrono::milliseconds(findings.asked.request.tracer_wait_ms), kMostTracerWait);
  // All that was read of it by its number is its own.
  if (!visitor.peer.lives()) return "its process has ended, or cannot be told for sure";
  admitted.listener = std::move(findings.asked.listener);
  admitted.files = std::move(findings.files.connection);
  admitted.user_namespace = std::move(findings.user_namespace);
  admitted.ipc_namespace = std::move(findings.ipc_namespace);
  if (!note(visitor, admitted)) return "too many commands have joined already";
  int error = 0;
  std::string refusal = serve(admitted, error);
  if (refusal.empty() && error != 0) {
    findings.missing = {ProcMountFailure::Step::kServe, error};
    findings.files.mount.reset();
  }
  return refusal;
}

void JoinedCommands::answer(Applicant& applicant, const Admission::Findings& findings) {
  Visitor& visitor = applicant.visitor;
  join::Answer answer;
  answer.accepted = 1;
  answer.missing = findings.missing;
  const std::array mount{findings.files.mount.get()};
  const std::size_t descriptors = findings.files.mount.valid() ? 1 : 0;
  KeptVisitor* const kept = joined_.back().kept;
  if (kept != nullptr) begin_answer(*kept, answer, findings.files.mount);
  const bool is_sent =
      send_message(visitor.connection.get(), answer, std::span(mount).first(descriptors)).ok();
  if (kept != nullptr) end_answer(*kept, is_sent);
  if (!is_sent) return;
  tell_of_join(visitor.peer, label_);
  visitor.connection.pay_for_itself();
  joined_.back().connection = std::move(visitor.connection);
}

void JoinedCommands::refuse(const Visitor& visitor, std::string_view refusal) const {
  // What the visitor has sent and nobody has received is dropped by the process that closes the
  // connection.
  join::Answer answer;
  refusal.copy(answer.reason.data(), answer.reason.size() - 1);
  (void)send_message(visitor.connection.get(), answer);
  tell_of_join(visitor.peer, label_, refusal);
}

void JoinedCommands::forget_ended() {
  bool some_stay = false;
  for (auto joined = joined_.begin(); joined != joined_.end();) {
    if (!joined->ended || (joined->files != nullptr && joined->files->running())) {
      some_stay = some_stay || joined->ended;
      ++joined;
      continue;
    }
    forget(*joined);
    joined = joined_.erase(joined);
  }
  if (some_stay) forget_again_.set(Clock::now() + kBetweenLooks);
}

bool JoinedCommands::all_gone() const {
  return std::ranges::all_of(joined_, [](const Joined& joined) {
    return joined.ended && Clock::now() >= joined.ended_at + kUnmountBound;
  });
}

std::size_t JoinedCommands::count() const {
  return static_cast<std::size_t>(std::ranges::count(joined_, false, &Joined::ended));
}

void JoinedCommands::forget(const Joined& joined) {
  (void)send_message(joined.connection.get(), join::Farewell());
  if (joined.kept != nullptr) joined.kept->state.store(KeptVisitor::kFree);
}

bool JoinedCommands::drain() {
  newcomers_.reset();
  socket_.remove();
  visitors_.clear();
  applicants_.clear();
  const bool drained = pool_->drain(kDrainBound) && joined_.empty();
  // They see our end. Their close is not to wait for ours (LastCloses).
  for (Joined& joined : joined_) joined.connection = StrangersFile::none();
  return LastCloses::all().hand_over_all(kDrainBound) && drained;
}

}  // namespace shmvisor
