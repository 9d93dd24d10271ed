#include "supervisor/agent/agent.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "supervisor/inject/kick_timer.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/session/end_process.h"

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;

/// For calls in flight, when we are to end; they take microseconds.
constexpr std::chrono::seconds kDrainPatience(5);
constexpr std::chrono::milliseconds kBeforeAcceptAgain(100);

void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Result<ListeningSocket, ListeningSocket::Trouble> find_socket(const AgentOptions& options,
                                                              ServiceManager& manager) {
  std::vector<UniqueFd> handed_over = manager.take_sockets();
  if (!options.socket.empty()) return ListeningSocket::make(options.socket);
  if (handed_over.size() == 1) return ListeningSocket::take(std::move(handed_over.front()));
  return ListeningSocket::Trouble{
      handed_over.empty() ? "no socket: give --socket PATH, or start it by socket activation"
                          : "more than one socket was handed over"};
}

}  // namespace

int run_agent(const AgentOptions& options, KernelFeatures& features) {
  // Before there are threads, which inherit the mask.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  KickTimer::install_handler(nullptr);
  ::signal(SIGPIPE, SIG_IGN);  // the log's reader may be gone
  raise_descriptor_limit();

  ServiceManager manager;
  auto socket = find_socket(options, manager);
  if (!socket) {
    spdlog::critical("{}", socket.error().text);
    return exit_status::kOwnFailure;
  }
  Agent agent(std::move(*socket), ends, manager, options.limits, features);
  const Agent::Ending ending = agent.run();
  if (!ending.drained) end_process_at_once(ending.status);
  return ending.status;
}

Agent::Agent(ListeningSocket socket, const sigset_t& ends, const ServiceManager& manager,
             const Limits& limits, KernelFeatures& features)
    : socket_(std::move(socket)),
      signals_(::signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK)),
      manager_(manager),
      signals_came_(loop_.watch(signals_.get(), POLLIN, [this](short) { told_to_end_ = true; })),
      containers_(loop_, features, limits),
      runtimes_come_(loop_.watch(socket_.fd(), POLLIN, [this](short) { accept_all(); })) {}

Agent::Ending Agent::run() {
  if (!signals_.valid() || !containers_.valid()) {
    spdlog::critical(
        "signalfd(2) or epoll_create1(2) is refused; raise RLIMIT_NOFILE, or allow them where a "
        "seccomp filter forbids them");
    return {exit_status::kOwnFailure, true};
  }
  manager_.notify("READY=1");
  if (!loop_.run_while([this] { return !told_to_end_; })) {
    spdlog::critical("poll: {}", std::strerror(errno));
  }
  return end();
}

void Agent::accept_all() {
  for (std::size_t accepted = 0; accepted < kMostConnections; ++accepted) {
    auto connection = socket_.accept();
    if (connection) {
      if (connections_.size() >= kMostConnections) {
        spdlog::warn("refused a message: it was not complete when too many others came");
        connections_.pop_front();
      }
      take_in(std::move(*connection));
      continue;
    }
    const Errno error = connection.error();
    if (error == Errno(EAGAIN)) return;
    if (error == Errno(EPERM)) {
      spdlog::warn("refused a connection: its user is neither root nor ours");
    } else if (error != Errno(EINTR) && error != Errno(ECONNABORTED)) {
      if (!std::exchange(told_of_accept_, true)) {
        spdlog::warn("cannot accept a connection yet: {}", std::strerror(error.value()));
      }
      runtimes_come_.pause_until(Clock::now() + kBeforeAcceptAgain);
      return;
    }
  }
}

void Agent::take_in(UniqueFd socket) {
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
        "a runtime sent nothing: its container failed to start; it does where the runtime itself "
        "is supervised already, since the kernel allows one listener");
  } else if (progress == RuntimeConnection::Progress::kRefused) {
    refused = runtime.reason();
  } else {
    refused = serve(runtime);
  }
  if (refused) spdlog::warn("refused a message: {}", *refused);
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
  spdlog::warn("refused a message: it was not complete within {} seconds",
               RuntimeConnection::kPatience.count());
  connections_.erase(connection);
}

Agent::Ending Agent::end() {
  manager_.notify("STOPPING=1");
  containers_.look();  // so that ended containers are not counted
  const bool drained = containers_.drain(kDrainPatience);
  if (!drained) spdlog::warn("some calls in flight did not end");
  if (const std::size_t count = containers_.count(); count != 0) {
    spdlog::warn("{} container{} lose{} service: their shared memory calls fail with ENOSYS", count,
                 count == 1 ? "" : "s", count == 1 ? "s" : "");
  }
  tell_of_lines_left_out();
  return {0, drained};
}

}  // namespace shmvisor
