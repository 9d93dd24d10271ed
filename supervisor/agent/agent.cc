#include "supervisor/agent/agent.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/oci/listener_path.h"
#include "supervisor/audit/process_audit.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/inherited_limits.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/loop/accept_pause.h"
#include "supervisor/resources/last_closes.h"
#include "supervisor/session/end_process.h"

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;

/// For calls in flight, when we are to end; they take microseconds.
constexpr std::chrono::seconds kDrainPatience(5);
constexpr std::chrono::milliseconds kBeforeTellingAgain(100);
/// For a file whose disk does not answer.
constexpr std::chrono::milliseconds kReloadPatience(1000);
constexpr std::chrono::milliseconds kAuditPatience(1000);

/// As the socket unit does. A sentence where the folder cannot be had.
std::string make_default_folder() {
  const std::string path = kDefaultListenerPath;
  const std::string folder = path.substr(0, path.rfind('/'));
  constexpr mode_t kOwnerOnly = 0700;
  if (::mkdir(folder.c_str(), kOwnerOnly) == 0 || errno == EEXIST) return {};
  return "cannot make " + folder + ": " + std::strerror(errno) + "; give --socket PATH";
}

Result<ListeningSocket, ListeningSocket::Trouble> find_socket(const AgentOptions& options,
                                                              ServiceManager& manager) {
  std::vector<UniqueFd> handed_over = manager.take_sockets();
  if (!options.socket.empty()) return ListeningSocket::make(options.socket);
  if (handed_over.size() == 1) return ListeningSocket::take(std::move(handed_over.front()));
  if (!handed_over.empty()) return ListeningSocket::Trouble{"more than one socket was handed over"};
  if (std::string trouble = make_default_folder(); !trouble.empty()) {
    return ListeningSocket::Trouble{std::move(trouble)};
  }
  return ListeningSocket::make(kDefaultListenerPath);
}

/// The audit has all of them. `message`: what the runtime has sent, as far as it has come.
void tell_of_refusal(const std::string& reason, std::string_view message = {}) {
  log_limited(spdlog::level::warn, LogTopic::kRefusedMessages, LogLimiter::kNobody,
              "refused a message: {}", reason);
  audit(AuditLog::kNobody, [&] {
    AuditRecord record("container");
    record.add("act", "refused");
    if (const auto process = parse_container_process(message)) {
      record.add("container", process->container_id);
    }
    return std::move(record.add("because", reason));
  });
}

}  // namespace

int run_agent(const AgentOptions& options, KernelFeatures& features) {
  // Before there are threads, which inherit the mask.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGHUP);  // which ends nothing: read_signals()
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  KickTimer::install_handler(nullptr);
  ::signal(SIGPIPE, SIG_IGN);  // the log's reader may be gone
  InheritedLimits().raise();

  if (const auto trouble = open_process_audit(
          options.audit, {"agent", options.control.name, static_cast<int>(::getpid())},
          AuditOf::kProcess)) {
    spdlog::critical("{}", *trouble);
    return exit_status::kOwnFailure;
  }
  ServiceManager manager;
  auto socket = find_socket(options, manager);
  if (!socket) {
    spdlog::critical("{}", socket.error().text);
    return exit_status::kOwnFailure;
  }
  Agent agent(std::move(*socket), ends, manager, options.limits, features);
  agent.steer(options.steering, options.read_again);
  agent.clean_up(options.cleanup);
  for (const GroupSocket& wanted : options.open_groups) {
    if (const auto trouble = agent.open_group(wanted)) {
      spdlog::critical("{}", *trouble);
      return exit_status::kOwnFailure;
    }
  }
  if (const auto trouble = agent.open_control(options.control)) {
    spdlog::critical("{}", *trouble);
    return exit_status::kOwnFailure;
  }
  const Agent::Ending ending = agent.run();
  if (!ending.drained) end_process_at_once(ending.status);
  return ending.status;
}

Agent::Agent(ListeningSocket socket, const sigset_t& ends, const ServiceManager& manager,
             const Limits& limits, KernelFeatures& features)
    : socket_(std::move(socket)),
      signals_(::signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK)),
      manager_(manager),
      signals_came_(loop_.watch(signals_.get(), POLLIN, [this](short) { read_signals(); })),
      containers_(loop_, features, limits),
      runtimes_come_(loop_.watch(socket_.fd(), POLLIN, [this](short) { accept_all(); })),
      ready_again_(loop_.timer([this] { tell_ready(); })) {}

void Agent::steer(const Steering& steering, ReadSteering read_again) {
  containers_.steer(steering);
  if (!read_again) return;
  reloader_.emplace(loop_, std::move(read_again),
                    [this](const Steering& read) { containers_.steer(read); });
}

std::optional<std::string> Agent::open_group(const GroupSocket& wanted) {
  auto socket = JoinSocket::listen_at(wanted.path);
  if (!socket) return socket.error();
  containers_.open_group(wanted.group, std::move(*socket));
  return std::nullopt;
}

void Agent::clean_up(CleanupMode mode) {
  if (mode == CleanupMode::kRmidForced) containers_.force_rmid();
  if (mode != CleanupMode::kOrphaned) return;
  cleanup_.emplace(loop_, [this] {
    OrphanCleanup::Sessions all;
    for (auto& named : containers_.sessions()) all.push_back(std::move(named.session));
    return all;
  });
}

void Agent::read_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    if (info.ssi_signo != SIGHUP) {
      told_to_end_ = true;
    } else if (reloader_) {
      audit(AuditLog::kNobody, [&info] {
        AuditRecord record("act");
        record.add("act", "reload").add("signal", "SIGHUP");
        return std::move(record.add("by_pid", info.ssi_pid).add("by_uid", info.ssi_uid));
      });
      reloader_->ask();
    } else {
      spdlog::warn("SIGHUP: there is nothing to read again, since no --config was given");
    }
  }
}

std::optional<std::string> Agent::open_control(const ControlOptions& wanted) {
  if (!wanted.wanted()) return std::nullopt;
  const auto place = control::place_for(wanted);
  if (!place) return place.error().text;
  auto socket = ControlSocket::listen_at(*place);
  if (!socket) return socket.error().text;
  control_.emplace(loop_, containers_.resources(), ControlServer::Identity{"agent", wanted.name},
                   [this] { return containers_.sessions(); });
  if (reloader_) control_->reload_by(*reloader_);
  control_->listen(std::move(*socket));
  if (control_->valid()) return std::nullopt;
  return "no descriptor for a control socket; raise RLIMIT_NOFILE";
}

Agent::Ending Agent::run() {
  if (!signals_.valid() || !containers_.valid() || (reloader_ && !reloader_->valid())) {
    spdlog::critical(
        "signalfd(2) or epoll_create1(2) is refused; raise RLIMIT_NOFILE, or allow them where a "
        "seccomp filter forbids them");
    return {exit_status::kOwnFailure, true};
  }
  if (const auto trouble = begin_process_audit()) {
    spdlog::critical("{}", *trouble);
    return {exit_status::kOwnFailure, true};
  }
  audit(AuditLog::kNobody, [] { return AuditRecord("start"); });
  tell_ready();
  if (!loop_.run_while([this] { return !told_to_end_; })) {
    spdlog::critical("poll: {}", std::strerror(errno));
  }
  return end();
}

void Agent::tell_ready() {
  if (!manager_.notify("READY=1")) ready_again_.set(Clock::now() + kBeforeTellingAgain);
}

void Agent::accept_all() {
  for (std::size_t accepted = 0; accepted < kMostConnections; ++accepted) {
    auto connection = socket_.accept();
    if (connection && !connection->valid()) {
      log_limited(spdlog::level::warn, LogTopic::kContainers, LogLimiter::kNobody,
                  "refused a connection: its user is neither root nor ours");
      continue;
    }
    if (connection) {
      if (connections_.size() >= kMostConnections) {
        tell_of_refusal("it was not complete when too many others came");
        connections_.pop_front();
      }
      take_in(std::move(*connection));
      continue;
    }
    const Errno error = connection.error();
    if (paused_after_accept(error, runtimes_come_) && !std::exchange(told_of_accept_, true)) {
      spdlog::warn("cannot accept a connection yet: {}", std::strerror(error.value()));
    }
    return;
  }
}

void Agent::take_in(StrangersFile socket) {
  Connections connection;
  connection.emplace_back(std::move(socket));
  const auto at = connection.begin();
  at->readable = loop_.watch(at->runtime.fd(), POLLIN, [this, at](short) { read_from(at); });
  at->late = loop_.timer([this, at] { drop_late(at); });
  at->late.set(at->runtime.deadline());
  connections_.splice(connections_.end(), connection);
  read_from(at);  // most often all is there
}

void Agent::read_from(Connections::iterator connection) {
  const RuntimeConnection::Progress progress = connection->runtime.read();
  if (progress == RuntimeConnection::Progress::kMore) return;
  // It is over, also where there is no memory for what follows.
  Connections read;
  read.splice(read.end(), connections_, connection);
  RuntimeConnection& runtime = connection->runtime;
  std::optional<std::string> refused;
  if (progress == RuntimeConnection::Progress::kNothing) {
    log_limited(
        spdlog::level::info, LogTopic::kContainers, LogLimiter::kNobody,
        "somebody connected and sent nothing; a container whose runtime does so failed to start: "
        "it does where the runtime itself is supervised already, since the kernel allows one "
        "listener");
  } else if (progress == RuntimeConnection::Progress::kRefused) {
    refused = runtime.reason();
  } else {
    refused = serve(runtime);
  }
  if (refused) tell_of_refusal(*refused, runtime.text());
}

std::optional<std::string> Agent::serve(RuntimeConnection& runtime) {
  auto parsed = parse_container_process(runtime.text());
  if (!parsed) return parsed.error().reason;
  ContainerProcess& process = *parsed;
  if (runtime.has_other_pids() && process.pid != 0) {
    spdlog::info("container {}: its runtime counts processes in another pid namespace",
                 printable(process.container_id));
    process.pid = 0;
  }
  auto refused = containers_.serve(process, runtime.take_listener());
  if (refused) refused = "container " + printable(process.container_id) + ": " + *refused;
  return refused;
}

void Agent::drop_late(Connections::iterator connection) {
  tell_of_refusal("it was not complete within " +
                  std::to_string(RuntimeConnection::kPatience.count()) + " seconds");
  connections_.erase(connection);
}

Agent::Ending Agent::end() {
  ready_again_.cancel();
  (void)manager_.notify("STOPPING=1");
  containers_.look();  // so that ended containers are not counted
  const std::size_t joined = containers_.joined();
  bool drained = !cleanup_ || cleanup_->wait_for_end(kDrainPatience);
  drained = containers_.drain(kDrainPatience) && drained;
  if (reloader_) drained = reloader_->wait_for_end(kReloadPatience) && drained;
  if (control_) drained = control_->drain(kDrainPatience) && drained;
  (void)LastCloses::all().hand_over_all(kDrainPatience);
  if (!drained && joined == 0) spdlog::warn("some calls in flight did not end");
  if (const std::size_t count = containers_.count(); count != 0) {
    spdlog::warn("{} container{} lose{} service: {} shared memory calls fail with ENOSYS", count,
                 count == 1 ? "" : "s", count == 1 ? "s" : "", count == 1 ? "its" : "their");
  }
  if (joined != 0) {
    spdlog::warn("{} joined command{} of this host lose{} service too", joined,
                 joined == 1 ? "" : "s", joined == 1 ? "s" : "");
  }
  audit(AuditLog::kNobody, [this] {
    return std::move(AuditRecord("stop").add("containers_left", containers_.count()));
  });
  end_process_audit(kAuditPatience);
  tell_of_lines_left_out();
  return {0, drained};
}

}  // namespace shmvisor
