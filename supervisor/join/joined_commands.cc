#include "supervisor/join/joined_commands.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "policy/base/shortage.h"
#include "supervisor/join/join_messages.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/process/accountable_user.h"
#include "supervisor/process/borrowed_identity.h"
#include "supervisor/process/process_stat.h"
#include "supervisor/procfiles/proc_file_system.h"
#include "supervisor/procfiles/sysctl_covers.h"

namespace shmvisor {
namespace {

constexpr std::chrono::seconds kVisitBound(30);
/// Those who come and go faster than we look wait in the socket.
constexpr int kMostGreetedInATurn = 32;
constexpr std::ptrdiff_t kMostJoined = 1024;
/// Of one joined command: who joins may be hostile, and threads are shared by all.
constexpr int kMostThreads = 256;
constexpr std::chrono::milliseconds kDrainBound(1000);
/// At visitors who say nothing, and at files in /proc whose last mount is about to go.
constexpr int kLookAgainMs = 100;
constexpr std::chrono::milliseconds kUntilDescriptorsAreFree(100);
/// The connection, and what may come over it.
constexpr std::int64_t kDescriptorsOfAVisitor = 3;
/// Connection, listener, files, the timer of its threads, a pidfd, its IPC namespace; and those of
/// callers that are remembered.
constexpr std::int64_t kDescriptorsOfAJoined = 6;

/// Whether it is /dev/fuse: its name could be given to any file, in a mount namespace of its own.
bool is_fuse_device(const UniqueFd& fd) {
  constexpr unsigned kMiscMajor = 10;
  constexpr unsigned kFuseMinor = 229;
  struct stat status {};
  return ::fstat(fd.get(), &status) == 0 && S_ISCHR(status.st_mode) &&
         status.st_rdev == makedev(kMiscMajor, kFuseMinor);
}

/// What mapping into a process takes. Reading at no valid address tells whether we may, and
/// nothing else.
bool within_reach(pid_t pid) {
  const auto outcome = reach(pid, kToTrace, [pid]() -> Result<void> {
    char byte = 0;
    iovec local{&byte, 1};
    iovec remote{nullptr, 1};
    if (::process_vm_readv(pid, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT) return {};
    return Errno::current();
  });
  return outcome.ok();
}

}  // namespace

struct JoinedCommands::Joined {
  explicit Joined(uid_t its_uid) : uid(its_uid) {}

  const uid_t uid;
  /// Held open, so that our end can be seen.
  UniqueFd connection;
  DescriptorShare::Part descriptors;
  bool ended = false;  ///< its last process
  DescendantScope::RootId root = 0;
  /// Where its /proc has files of ours.
  std::unique_ptr<ProcFileSystem> files;
};

JoinedCommands::JoinedCommands(JoinSocket socket, IpcNamespaces& namespaces, JointScope& scope,
                               KernelFeatures& features, const CallPage* call_page,
                               const ServingShares& shares)
    : socket_(std::move(socket)),
      namespaces_(namespaces),
      scope_(DescendantScope::of_others(features)),
      features_(features),
      call_page_(call_page),
      shares_(shares),
      pool_(features) {
  scope.add(scope_);
}

JoinedCommands::~JoinedCommands() = default;

void JoinedCommands::append_waiting(std::vector<pollfd>& waiting) const {
  // Where no connection can be had the main loop does not ask for one all the time.
  waiting.push_back({Clock::now() < accept_again_ ? -1 : socket_.fd(), POLLIN, 0});
  waiting.push_back({pool_.fd(), POLLIN, 0});
  for (const Visitor& visitor : visitors_) {
    waiting.push_back({visitor.connection.get(), POLLIN, 0});
  }
}

int JoinedCommands::timeout_ms() const {
  const bool look =
      !visitors_.empty() || Clock::now() < accept_again_ ||
      std::any_of(joined_.begin(), joined_.end(), [](const auto& joined) { return joined.ended; });
  if (!look) return pool_.timeout_ms();
  const int pool_ms = pool_.timeout_ms();
  return pool_ms < 0 ? kLookAgainMs : std::min(pool_ms, kLookAgainMs);
}

void JoinedCommands::turn() {
  hear_visitors();  // before somebody who has asked must make room
  greet_visitors();
  pool_.turn();
  forget_ended();
}

void JoinedCommands::greet_visitors() {
  if (Clock::now() < accept_again_) return;
  for (int greeted = 0; greeted < kMostGreetedInATurn; ++greeted) {
    UniqueFd connection = socket_.accept();
    if (!connection.valid()) {
      // It stays in the queue, and the queue readable.
      if (is_shortage(Errno::current())) accept_again_ = Clock::now() + kUntilDescriptorsAreFree;
      return;
    }
    ucred peer{};
    socklen_t size = sizeof(peer);
    ::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
    auto descriptors = charge(peer.uid, kDescriptorsOfAVisitor);
    if (!descriptors) continue;  // it finds its connection closed
    join::Greeting greeting;
    greeting.pid_namespace = NamespaceIds::ours().pid;
    if (!send_message(connection.get(), greeting)) continue;
    spdlog::debug("process {} of user {} wants to join", peer.pid, peer.uid);
    if (visitors_.size() >= kMostVisitors) make_room();
    visitors_.push_back({std::move(connection), peer.pid, peer.uid, Clock::now() + kVisitBound,
                         std::move(*descriptors)});
  }
}

void JoinedCommands::make_room() {
  std::unordered_map<uid_t, int> of_user;
  for (const Visitor& visitor : visitors_) ++of_user[visitor.uid];
  const auto most = std::max_element(
      of_user.begin(), of_user.end(),
      [](const auto& one, const auto& other) { return one.second < other.second; });
  const auto oldest = std::find_if(visitors_.begin(), visitors_.end(), [&](const Visitor& visitor) {
    return visitor.uid == most->first;
  });
  spdlog::debug("process {} makes room for others who want to join", oldest->pid);
  visitors_.erase(oldest);
}

void JoinedCommands::hear_visitors() {
  for (auto visitor = visitors_.begin(); visitor != visitors_.end();) {
    visitor = hear(*visitor) ? visitors_.erase(visitor) : std::next(visitor);
  }
}

bool JoinedCommands::hear(Visitor& visitor) {
  pollfd readable{visitor.connection.get(), POLLIN, 0};
  if (::poll(&readable, 1, 0) == 0) return Clock::now() >= visitor.deadline;
  join::Request request;
  auto received = receive_message(visitor.connection.get(), request);
  if (!received && received.error() != Errno(EBADMSG)) return true;  // it is gone
  const std::string refusal =
      received ? admit(visitor, request, std::move(*received)) : "it sent no request";
  join::Answer answer;
  answer.accepted = refusal.empty();
  refusal.copy(answer.reason.data(), answer.reason.size() - 1);
  const bool told = send_message(visitor.connection.get(), answer).ok();
  if (!refusal.empty()) {
    log_limited(spdlog::level::warn, LogTopic::kJoins, visitor.uid, "process {} may not join: {}",
                visitor.pid, refusal);
  } else if (told) {
    spdlog::debug("process {} has joined", visitor.pid);
    joined_.back().connection = std::move(visitor.connection);
  }
  return true;
}

std::optional<DescriptorShare::Part> JoinedCommands::charge(uid_t user, std::int64_t count) const {
  if (shares_.descriptors == nullptr) return DescriptorShare::Part();
  return shares_.descriptors->take(user, count);
}

std::ptrdiff_t JoinedCommands::room_for(uid_t uid) const {
  const auto joined = static_cast<std::ptrdiff_t>(joined_.size());
  if (uid == ::geteuid()) return kMostJoined - joined;
  const auto of_user = std::count_if(joined_.begin(), joined_.end(),
                                     [uid](const Joined& one) { return one.uid == uid; });
  return std::min(kMostJoined - joined, kMostOfAnotherUser - of_user);
}

std::string JoinedCommands::admit(const Visitor& visitor, const join::Request& request,
                                  ReceivedDescriptors received) {
  UniqueFd listener = std::move(received[0]);
  UniqueFd files = std::move(received[1]);
  if (request.words != join::kRequestWords) return "it is another version of shmvisor";
  if (request.wait_kind > WaitKind::kInterruptible || !is_seccomp_listener(listener) ||
      (files.valid() && !is_fuse_device(files))) {
    return "it handed over something else than a seccomp listener";
  }
  if (room_for(visitor.uid) <= 0) return "too many commands have joined already";
  if (visitor.pid == 0) return "it cannot be seen from the server's pid namespace";
  if (!within_reach(visitor.pid)) {
    return "the kernel lets the server map nothing into processes of process " +
           std::to_string(visitor.pid) +
           ": both must be of one user, and kernel.yama.ptrace_scope 0, or the server needs "
           "CAP_SYS_PTRACE";
  }
  ThreadIdentity joiner(visitor.pid, UniqueFd(), 0);
  const uid_t payer = accountable_user(joiner, visitor.uid);
  const std::size_t remembered = std::min(shares_.most_remembered, ThreadIdentities::kMostOfOthers);
  auto descriptors = charge(payer, kDescriptorsOfAJoined + static_cast<std::int64_t>(remembered));
  if (!descriptors) return "its user has its share of the server's descriptors already";
  ServerOptions options;
  options.most_threads = kMostThreads;
  options.budget = shares_.budget;
  options.most_remembered = remembered;
  options.remembered = Remembered::kThreads;
  if (auto ipc = reach_proc_file(visitor.pid, "ns/ipc")) {
    options.home = std::make_shared<IpcHome>(std::move(*ipc));
  }
  options.call_page = call_page_;
  if (files.valid()) {
    const auto command = ProcessStat::read(request.command);
    if (!command || command->ppid != visitor.pid) return "it named another's command as its own";
    options.on_namespace_change = [covers = std::make_shared<SysctlCovers>(request.command)](
                                      pid_t tid) { covers->cover(tid); };
  }
  Joined& joined = joined_.emplace_back(visitor.uid);
  joined.descriptors = std::move(*descriptors);
  ServerPool::Client client;
  // Not owned by the servers: the set is the serving command's, and outlives them.
  client.namespaces = std::shared_ptr<IpcNamespaces>(std::shared_ptr<void>(), &namespaces_);
  client.options = options;
  client.ended = [&joined] { joined.ended = true; };
  if (!pool_.add(std::move(listener), request.wait_kind, std::move(client))) {
    joined_.pop_back();
    return "the server cannot watch another listener";
  }
  // From here on it is served until it ends, which a refusal makes it do.
  joined.root = scope_->add_root(visitor.pid);
  if (!files.valid()) return {};
  joined.files = std::make_unique<ProcFileSystem>(namespaces_, options.home);
  return joined.files->start(std::move(files)) ? "" : "its files in /proc cannot be served";
}

void JoinedCommands::forget_ended() {
  for (auto joined = joined_.begin(); joined != joined_.end();) {
    if (!joined->ended || (joined->files != nullptr && joined->files->running())) {
      ++joined;
      continue;
    }
    forget(*joined);
    joined = joined_.erase(joined);
  }
}

void JoinedCommands::forget(const Joined& joined) {
  scope_->remove_root(joined.root);
  (void)send_message(joined.connection.get(), join::Farewell());
}

bool JoinedCommands::drain() {
  socket_.remove();
  visitors_.clear();
  return pool_.drain(kDrainBound) && joined_.empty();
}

}  // namespace shmvisor
