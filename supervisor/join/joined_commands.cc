#include "supervisor/join/joined_commands.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "policy/base/shortage.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/join/join_messages.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/descriptor_path.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/procfiles/proc_file_system.h"
#include "supervisor/procfiles/sysctl_covers.h"

namespace shmvisor {
namespace {

constexpr std::chrono::seconds kVisitBound(30);
/// For an admission, which takes a millisecond; and to wait for others of the same user's.
constexpr std::chrono::seconds kAdmissionBound(5);
/// Of one user: each may keep a thread for as long as the visitor likes.
constexpr std::ptrdiff_t kMostAdmissionsOfAUser = 4;
/// Visitors beyond that wait in the socket's queue.
constexpr int kMostGreetedInATurn = 32;
constexpr std::ptrdiff_t kMostJoined = 1024;
/// Of one joined command: who joins may be hostile, and threads are shared by all.
constexpr int kMostThreads = 256;
constexpr int kMostThreadsOfAnotherUser = 8;
/// The largest --tracer-wait.
constexpr std::chrono::milliseconds kMostTracerWait = std::chrono::hours(1);
constexpr std::chrono::milliseconds kDrainBound(1000);
/// At admissions whose thread is about to end; and at files in /proc whose last mount is.
constexpr std::chrono::milliseconds kBetweenAdmissions(10);
constexpr std::chrono::milliseconds kBetweenLooks(100);
constexpr std::chrono::milliseconds kUntilDescriptorsAreFree(100);
/// The connection, a pidfd, what may come over it, and what tells that an admission is over.
constexpr std::int64_t kDescriptorsOfAVisitor = 5;
/// Connection, listener, files, the timer of its threads, a pidfd, its IPC and user namespace; and
/// those of callers that are remembered.
constexpr std::int64_t kDescriptorsOfAJoined = 7;
/// For files in /proc, once the last process under the filter has ended.
constexpr std::chrono::seconds kUnmountBound(1);

}  // namespace

struct JoinedCommands::Joined {
  explicit Joined(uid_t its_payer) : payer(its_payer) {}

  const uid_t payer;
  /// Held open, so that our end can be seen.
  UniqueFd connection;
  DescriptorShare::Part descriptors;
  bool ended = false;  ///< its last process
  Clock::time_point ended_at;
  SupervisedScope::RootId root = 0;
  /// Where its /proc has files of ours.
  std::unique_ptr<ProcFileSystem> files;
};

JoinedCommands::JoinedCommands(EventLoop& loop, JoinSocket socket, std::shared_ptr<Session> session)
    : loop_(loop),
      socket_(std::move(socket)),
      session_(std::move(session)),
      scope_(std::make_shared<SupervisedScope>(session_->features())),
      newcomers_(loop.watch(socket_.fd(), POLLIN,
                            [this](short) {
                              hear_visitors();  // before a visitor with a request must make room
                              greet_visitors();
                            })),
      admit_again_(loop.timer([this] { begin_admissions(); })),
      forget_again_(loop.timer([this] { forget_ended(); })),
      pool_(loop) {
  session_->scope().add(scope_);
}

JoinedCommands::~JoinedCommands() = default;

void JoinedCommands::greet_visitors() {
  for (int greeted = 0; greeted < kMostGreetedInATurn; ++greeted) {
    UniqueFd connection = socket_.accept();
    if (!connection.valid()) {
      // It stays in the queue, and the queue readable.
      if (is_shortage(Errno::current())) {
        newcomers_.pause_until(Clock::now() + kUntilDescriptorsAreFree);
      }
      return;
    }
    PeerProcess peer = PeerProcess::of(connection);
    auto descriptors = session_->descriptors().take(peer.payer(), kDescriptorsOfAVisitor);
    if (!descriptors) continue;  // it finds its connection closed
    if (!send_message(connection.get(), join::Greeting())) continue;
    spdlog::debug("process {} of user {} wants to join", peer.pid(), peer.user());
    if (visitors_.size() >= kMostVisitors) make_room();
    Visitors visitor;
    visitor.push_back({std::move(connection), std::move(peer), std::move(*descriptors)});
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
    pollfd readable{current->connection.get(), POLLIN, 0};
    if (::poll(&readable, 1, 0) != 0) hear(current);
  }
}

void JoinedCommands::hear(Visitors::iterator visitor) {
  // What it has sent is received elsewhere, since it may not be possible to close the files.
  char byte = 0;
  const bool asks = ::recv(visitor->connection.get(), &byte, sizeof(byte), MSG_PEEK) > 0;
  const std::string refusal = asks ? check(*visitor) : "";
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

std::string JoinedCommands::check(const Visitor& visitor) const {
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
    auto begun = Admission::begin(visitor.peer.pid(), visitor.connection);
    if (!begun) {
      give_up(applicant, "the server has no thread or descriptor for it");
      continue;
    }
    applicant->admission = std::move(*begun);
    underway_.push_back({visitor.peer.payer(), applicant->admission});
    applicant->admission_over = loop_.watch(applicant->admission->fd(), POLLIN,
                                            [this, applicant](short) { conclude(applicant); });
  }
  if (!some_wait) admit_again_.cancel();
}

void JoinedCommands::conclude(Applicants::iterator applicant) {
  Admission::Findings findings = applicant->admission->take();
  answer(*applicant, admit(*applicant, findings), findings);
  applicants_.erase(applicant);
  begin_admissions();
}

void JoinedCommands::give_up(Applicants::iterator applicant, const std::string& why) {
  refuse(applicant->visitor, why);
  applicants_.erase(applicant);
}

bool JoinedCommands::may_begin(uid_t payer) {
  std::erase_if(underway_, [](const Underway& one) {
    return one.admission.expired();  // its thread may be kept for longer than it takes
  });
  return std::ranges::count(underway_, payer, &Underway::payer) < kMostAdmissionsOfAUser;
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

std::string JoinedCommands::admit(Applicant& applicant, Admission::Findings& findings) {
  const Visitor& visitor = applicant.visitor;
  const join::Request& request = findings.asked.request;
  UniqueFd& listener = findings.asked.listener;
  if (!findings.heard) return "it sent no request";
  if (request.words != join::kRequestWords) return "it is another version of shmvisor";
  if (!listener.valid()) return "it handed over something else than a seccomp listener";
  if (!findings.within_reach) {
    return "the kernel lets the server map nothing into processes of process " +
           std::to_string(visitor.peer.pid()) +
           ": both must be of one user, and kernel.yama.ptrace_scope 0, or the server needs "
           "CAP_SYS_PTRACE";
  }
  const std::size_t remembered =
      std::min(static_cast<std::size_t>(session_->plan().remembered_joined_callers),
               ThreadIdentities::kMostOfOthers);
  auto descriptors = session_->descriptors().take(
      visitor.peer.payer(), kDescriptorsOfAJoined + static_cast<std::int64_t>(remembered));
  if (!descriptors) return "its user has its share of the server's descriptors already";
  ServerOptions options = session_->server_options();
  options.most_threads = visitor.peer.payer() == ::geteuid() || visitor.peer.payer() == 0
                             ? kMostThreads
                             : kMostThreadsOfAnotherUser;
  options.most_remembered = remembered;
  options.remembered = Remembered::kThreads;
  options.tracer_wait =
      std::min(std::chrono::milliseconds(request.tracer_wait_ms), kMostTracerWait);
  if (auto ipc = open_guarded_proc_file(visitor.peer.pid(), "ns/ipc")) {
    options.home = std::make_shared<IpcHome>(std::move(*ipc));
  }
  // All that was read of it by its number is its own.
  if (!visitor.peer.lives()) return "its process has ended, or cannot be told for sure";
  if (findings.files.connection.valid()) {
    options.on_namespace_change =
        [covers = std::make_shared<SysctlCovers>(std::move(findings.user_namespace))](pid_t tid) {
          covers->cover(tid);
        };
  }
  std::list<Joined> newcomer;  // forgotten where memory runs out before it is served
  Joined& joined = newcomer.emplace_back(visitor.peer.payer());
  joined.descriptors = std::move(*descriptors);
  ServerPool::Client client;
  client.session = session_;
  client.options = options;
  client.ended = [this, &joined] {
    joined.ended = true;
    joined.ended_at = Clock::now();
    forget_again_.set_by(joined.ended_at);
  };
  // How its callers wait only they can show: it may say what it likes.
  if (!pool_.add(std::move(listener), WaitKind::kUnknown, std::move(client))) {
    return "the server cannot watch another listener";
  }
  joined_.splice(joined_.end(), newcomer);
  // From here on it is served until it ends.
  joined.root = scope_->add_root(visitor.peer.pid());
  if (!findings.files.connection.valid()) return {};
  joined.files = session_->make_files(options.home);
  if (const auto started = joined.files->start(std::move(findings.files.connection)); !started) {
    findings.missing = {ProcMountFailure::Step::kServe, started.error().value()};
    findings.files.mount.reset();
  }
  return {};
}

void JoinedCommands::answer(Applicant& applicant, const std::string& refusal,
                            const Admission::Findings& findings) {
  Visitor& visitor = applicant.visitor;
  if (!refusal.empty()) {
    refuse(visitor, refusal);
    return;
  }
  join::Answer answer;
  answer.accepted = 1;
  answer.missing = findings.missing;
  const std::array mount{findings.files.mount.get()};
  const std::size_t descriptors = findings.files.mount.valid() ? 1 : 0;
  if (!send_message(visitor.connection.get(), answer, std::span(mount).first(descriptors))) return;
  spdlog::debug("process {} has joined", visitor.peer.pid());
  joined_.back().connection = std::move(visitor.connection);
}

void JoinedCommands::refuse(const Visitor& visitor, const std::string& refusal) {
  // What it has sent, where nobody received that: left there it would take our answer with it. So
  // received, without room for them, descriptors are never open here.
  char byte = 0;
  (void)::recv(visitor.connection.get(), &byte, sizeof(byte), 0);
  join::Answer answer;
  refusal.copy(answer.reason.data(), answer.reason.size() - 1);
  (void)send_message(visitor.connection.get(), answer);
  log_limited(spdlog::level::warn, LogTopic::kJoins, visitor.peer.payer(),
              "process {} may not join: {}", visitor.peer.pid(), refusal);
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

void JoinedCommands::forget(const Joined& joined) {
  scope_->remove_root(joined.root);
  (void)send_message(joined.connection.get(), join::Farewell());
}

bool JoinedCommands::drain() {
  newcomers_.reset();
  socket_.remove();
  visitors_.clear();
  applicants_.clear();
  return pool_.drain(kDrainBound) && joined_.empty();
}

}  // namespace shmvisor
