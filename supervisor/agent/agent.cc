#include "supervisor/agent/agent.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "supervisor/inject/kick_timer.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/log/process_log.h"

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;

/// For calls in flight, when we are to end; they take microseconds.
constexpr std::chrono::seconds kDrainPatience(5);
constexpr std::chrono::milliseconds kBeforeAcceptAgain(100);
/// When memory ran out.
constexpr std::chrono::milliseconds kInWant(50);

int milliseconds_until(Clock::time_point when) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(when - Clock::now());
  return static_cast<int>(std::max<std::int64_t>(left.count() + 1, 0));
}

int sooner_ms(int one, int other) {
  if (one < 0 || other < 0) return std::max(one, other);
  return std::min(one, other);
}

void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::variant<ListeningSocket, ListeningSocket::Trouble> find_socket(const AgentOptions& options,
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
  if (const auto* trouble = std::get_if<ListeningSocket::Trouble>(&socket)) {
    spdlog::critical("{}", trouble->text);
    return exit_status::kOwnFailure;
  }
  Agent agent(std::move(*std::get_if<ListeningSocket>(&socket)), ends, manager, options.limits,
              features);
  const Agent::Ending ending = agent.run();
  if (!ending.drained) {
    flush_process_log();
    ::_exit(ending.status);
  }
  return ending.status;
}

Agent::Agent(ListeningSocket socket, const sigset_t& ends, const ServiceManager& manager,
             const Limits& limits, KernelFeatures& features)
    : socket_(std::move(socket)),
      signals_(::signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK)),
      manager_(manager),
      containers_(features, limits) {}

Agent::Ending Agent::run() {
  if (!signals_.valid() || containers_.pool_fd() < 0) {
    spdlog::critical(
        "signalfd(2) or epoll_create1(2) is refused; raise RLIMIT_NOFILE, or allow them where a "
        "seccomp filter forbids them");
    return {exit_status::kOwnFailure, true};
  }
  manager_.notify("READY=1");
  while (turn_in_want()) {
  }
  return end();
}

bool Agent::turn_in_want() {
  try {
    return turn();
  } catch (const std::bad_alloc&) {
    log_limited(spdlog::level::err, LogTopic::kMemory, LogLimiter::kNobody,
                "out of memory: a message, or what was to be looked after, waits");
    std::this_thread::sleep_for(kInWant);
    return true;
  }
}

bool Agent::turn() {
  enum Fixed : std::size_t { kSignals, kPool, kReleases, kSocket, kFixedCount };
  const bool may_accept = Clock::now() >= accept_again_;
  std::vector<pollfd> waiting(kFixedCount + connections_.size());
  waiting[kSignals] = {signals_.get(), POLLIN, 0};
  waiting[kPool] = {containers_.pool_fd(), POLLIN, 0};
  waiting[kReleases] = {containers_.release_fd(), POLLIN, 0};
  waiting[kSocket] = {may_accept ? socket_.fd() : -1, POLLIN, 0};
  std::size_t place = kFixedCount;
  for (const RuntimeConnection& connection : connections_) {
    waiting[place++] = {connection.fd(), POLLIN, 0};
  }
  if (::poll(waiting.data(), waiting.size(), timeout_ms()) < 0 && errno != EINTR) {
    spdlog::critical("poll: {}", std::strerror(errno));
    return false;
  }
  if (waiting[kSignals].revents != 0) return false;
  containers_.turn();
  place = kFixedCount;
  for (auto connection = connections_.begin(); connection != connections_.end();) {
    const auto current = connection++;
    if (waiting[place++].revents != 0) read_from(current);
  }
  drop_late_ones();
  if (waiting[kSocket].revents != 0) accept_all();
  return true;
}

int Agent::timeout_ms() const {
  int timeout = containers_.timeout_ms();
  for (const RuntimeConnection& connection : connections_) {
    timeout = sooner_ms(timeout, milliseconds_until(connection.deadline()));
  }
  if (Clock::now() < accept_again_) timeout = sooner_ms(timeout, milliseconds_until(accept_again_));
  return timeout;
}

void Agent::accept_all() {
  for (std::size_t accepted = 0; accepted < kMostConnections; ++accepted) {
    auto connection = socket_.accept();
    if (connection) {
      if (connections_.size() >= kMostConnections) {
        spdlog::warn("refused a message: it was not complete when too many others came");
        connections_.pop_front();
      }
      connections_.emplace_back(std::move(*connection));
      read_from(std::prev(connections_.end()));  // most often all is there
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
      accept_again_ = Clock::now() + kBeforeAcceptAgain;
      return;
    }
  }
}

void Agent::read_from(Connections::iterator connection) {
  std::optional<std::string> refused;
  switch (connection->read()) {
    case RuntimeConnection::Progress::kMore:
      return;
    case RuntimeConnection::Progress::kNothing:
      log_limited(
          spdlog::level::info, LogTopic::kContainers, LogLimiter::kNobody,
          "a runtime sent nothing: its container failed to start; it does where the runtime itself "
          "is supervised already, since the kernel allows one listener");
      break;
    case RuntimeConnection::Progress::kRefused:
      refused = connection->reason();
      break;
    case RuntimeConnection::Progress::kComplete: {
      auto parsed = parse_container_process(connection->text());
      if (const auto* bad = std::get_if<BadMessage>(&parsed)) {
        refused = bad->reason;
      } else {
        auto& process = *std::get_if<ContainerProcess>(&parsed);
        if (connection->has_other_pids() && process.pid != 0) {
          spdlog::info("container {}: its runtime counts processes in another pid namespace",
                       printable(process.container_id));
          process.pid = 0;
        }
        refused = containers_.serve(process, connection->take_listener());
        if (refused) {
          refused = "container " + printable(process.container_id) + ": " + *refused;
        }
      }
    }
  }
  if (refused) {
    spdlog::warn("refused a message: {}", *refused);
  }
  connections_.erase(connection);
}

void Agent::drop_late_ones() {
  // They are in the order of their deadlines.
  while (!connections_.empty() && connections_.front().deadline() <= Clock::now()) {
    spdlog::warn("refused a message: it was not complete within {} seconds",
                 RuntimeConnection::kPatience.count());
    connections_.pop_front();
  }
}

Agent::Ending Agent::end() {
  manager_.notify("STOPPING=1");
  containers_.turn();  // so that who has ended is not counted
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
