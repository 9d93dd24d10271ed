#include "supervisor/agent/agent.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

#include "supervisor/audit/process_audit.h"
#include "supervisor/kernel/event_descriptor.h"
#include "supervisor/kernel/file_inode.h"
#include "supervisor/kernel/peer_user.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/loop/accept_pause.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/resources/last_closes.h"
#include "supervisor/resources/pause_for_closes.h"

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;

/// For calls in flight, when we are to end; they take microseconds.
constexpr std::chrono::seconds kDrainPatience(5);
/// For a file whose disk does not answer.
constexpr std::chrono::milliseconds kReloadPatience(1000);
constexpr std::chrono::milliseconds kAuditPatience(1000);
/// For pages that are being locked.
constexpr std::chrono::milliseconds kStatePatience(1000);

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

Result<Agent::Groundwork, std::string> Agent::lay_groundwork(const AgentOptions& options,
                                                             ListeningSocket socket,
                                                             KernelFeatures& features) {
  Groundwork groundwork{std::move(socket), std::make_shared<SessionResources>(features)};
  for (const GroupSocket& wanted : options.open_groups) {
    auto listening = JoinSocket::listen_at(wanted.path);
    if (!listening) return listening.error();
    groundwork.open_groups.push_back({wanted.group, std::move(*listening)});
  }
  if (options.control.wanted()) {
    const auto place = control::place_for(options.control);
    if (!place) return place.error().text;
    auto control = ControlSocket::listen_at(*place);
    if (!control) return control.error().text;
    groundwork.control.emplace(std::move(*control));
  }
  return groundwork;
}

Agent::Agent(const AgentOptions& options, Groundwork groundwork, const ServiceManager& manager,
             const Shared* shared)
    : options_(options),
      shared_(shared),
      socket_(std::move(groundwork.socket)),
      to_open_(std::move(groundwork.open_groups)),
      control_socket_(std::move(groundwork.control)),
      orders_(shared == nullptr ? own_orders_ : shared->orders),
      kept_state_(read_or_give_up(shared == nullptr ? nullptr : &shared->kept)),
      containers_(loop_, std::move(groundwork.resources), options.limits) {
  if (shared_ == nullptr) {
    signals_.emplace(
        loop_, orders_, [this] { see_orders(); },
        [] { spdlog::warn("SIGUSR2: no other program takes over, since there is no --keeper"); });
    reports_.emplace(loop_, manager);
  } else {
    news_came_ = loop_.watch(shared_->kept.news, POLLIN, [this](short) { see_news(); });
    containers_.keep_in(*kept_state_, shared_->containers);
  }
  containers_.steer(options_.steering);
  clean_up();
}

void Agent::clean_up() {
  if (options_.cleanup == CleanupMode::kRmidForced) containers_.force_rmid();
  if (options_.cleanup != CleanupMode::kOrphaned) return;
  cleanup_.emplace(loop_, [this] {
    OrphanCleanup::Sessions all;
    for (auto& named : containers_.sessions()) all.push_back(std::move(named.session));
    return all;
  });
}

void Agent::see_news() {
  std::uint64_t count = 0;
  (void)!::read(shared_->kept.news, &count, sizeof(count));
  see_orders();
}

void Agent::see_orders() {
  const std::uint32_t reloads = orders_.reloads.load();
  if (orders_.reloads_begun.exchange(reloads) == reloads) return;
  if (!reloader_) {
    spdlog::warn("SIGHUP: there is nothing to read again, since no --config was given");
    return;
  }
  audit(AuditLog::kNobody, [this] {
    AuditRecord record("act");
    record.add("act", "reload").add("signal", "SIGHUP");
    return std::move(
        record.add("by_pid", orders_.by_pid.load()).add("by_uid", orders_.by_uid.load()));
  });
  reloader_->ask();
}

void Agent::open_control() {
  if (shared_ != nullptr) {
    const Kept& kept = shared_->kept;
    upgrade_desk_.emplace(loop_, kept.upgrade, kept.upgrade_asked, kept.upgrade_answered);
  }
  if (!control_socket_) return;
  const pid_t known_as = shared_ == nullptr ? ::getpid() : shared_->kept.keeper;
  control_.emplace(loop_, containers_.resources(),
                   ControlServer::Identity{"agent", options_.control.name, known_as},
                   [this] { return containers_.sessions(); });
  if (!is_first()) containers_.resources().tally.note_takeover();
  if (reloader_) control_->reload_by(*reloader_);
  if (upgrade_desk_) control_->upgrade_by(*upgrade_desk_);
  control_->listen(std::move(*control_socket_));
}

std::optional<std::string> Agent::begin() {
  if (options_.read_again) {
    reloader_.emplace(loop_, options_.read_again, [this](const Steering& read) {
      containers_.steer(read);
      orders_.steered.store(true);
    });
  }
  if ((signals_ && !signals_->valid()) || !containers_.valid() ||
      (reloader_ && !reloader_->valid())) {
    return "signalfd(2) or epoll_create1(2) is refused; raise RLIMIT_NOFILE, or allow them where a "
           "seccomp filter forbids them";
  }
  if (const auto trouble = begin_process_audit()) return trouble;
  // As the last server had done: what it had read is lost with it. Before the state is back, and
  // before clients may ask for it.
  const bool was_asked = orders_.steered.load() || orders_.reloads_begun.load() != 0;
  if (reloader_ && !is_first() && was_asked) reloader_->read_at_once(kReloadPatience);
  open_control();
  if (control_ && !control_->valid()) {
    return "no descriptor for a control socket; raise RLIMIT_NOFILE";
  }
  return std::nullopt;
}

void Agent::go_on() {
  // Who has come to them is heard from now on, as soon as the loop turns.
  for (Groundwork::OpenGroup& open : to_open_) {
    containers_.open_group(open.name, std::move(open.socket));
  }
  if (shared_ == nullptr) return;
  if (const auto done = containers_.go_on(shared_->visitors); !done) {
    give_up_state(shared_->kept, done.error());
  }
  if (!is_first()) take_connections_back();
  containers_.forget_connections();
}

/// Those that the last server had accepted: their messages are there still.
void Agent::take_connections_back() {
  const auto open = numbered_entries("/proc/self/fd");
  if (!open) return;
  for (const int fd : *open) {
    if (!socket_.has_accepted(fd)) continue;
    StrangersFile connection = StrangersFile::of(UniqueFd(fd));
    if (const auto peer = peer_of(connection.fd())) connection.charge(peer->uid);
    // The last server may have died before it asked, or before it had closed it.
    if (!peer_is_root_or_ours(connection.fd())) continue;
    if (!containers_.has_served(inode_of(connection.fd()))) take_in(std::move(connection));
  }
}

Agent::Ending Agent::run() {
  if (const auto trouble = begin()) {
    spdlog::critical("{}", *trouble);
    if (is_first()) return {exit_status::kOwnFailure, true};
    leave_to_next(exit_status::kOwnFailure);
  }
  go_on();
  if (control_) note_peaks(containers_.sessions());
  runtimes_come_ = loop_.watch(socket_.fd(), POLLIN, [this](short) { accept_all(); });
  audit(AuditLog::kNobody,
        [this] { return is_first() ? AuditRecord("start") : record_of_takeover(); });
  tell_ready();
  see_orders();
  if (!loop_.run_while([this] { return !orders_.end.load(); })) {
    spdlog::critical("poll: {}", std::strerror(errno));
  }
  return end();
}

void Agent::tell_ready() {
  if (reports_) return reports_->ready();
  shared_->kept.page.serves.store(true);
  std::set_new_handler(nullptr);
  tell_by(shared_->ready);
}

void Agent::accept_all() {
  for (std::size_t accepted = 0; accepted < kMostConnections; ++accepted) {
    if (paused_for_closes(runtimes_come_)) {
      log_limited(
          spdlog::level::warn, LogTopic::kContainers, LogLimiter::kNobody,
          "no container can come for a moment: too many files that were sent here cannot be "
          "closed");
      return;
    }
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
  conclude(connection->runtime, progress);
  connection->runtime.take_what_was_seen();
  read.clear();
  containers_.forget_last_connection();
}

void Agent::conclude(RuntimeConnection& runtime, RuntimeConnection::Progress progress) {
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
  auto refused = containers_.serve(process, runtime.listener(), runtime.inode());
  if (refused) refused = "container " + printable(process.container_id) + ": " + *refused;
  return refused;
}

void Agent::drop_late(Connections::iterator connection) {
  tell_of_refusal("it was not complete within " +
                  std::to_string(RuntimeConnection::kPatience.count()) + " seconds");
  connections_.erase(connection);
}

Agent::Ending Agent::end() {
  if (reports_) reports_->stopping();
  containers_.look();  // so that ended containers are not counted
  const std::size_t joined = containers_.joined();
  bool drained = !cleanup_ || cleanup_->wait_for_end(kDrainPatience);
  drained = containers_.drain(kDrainPatience) && drained;
  if (reloader_) drained = reloader_->wait_for_end(kReloadPatience) && drained;
  if (control_) drained = control_->drain(kDrainPatience) && drained;
  // Nothing of strangers' is to be open when this process ends, which would wait for its close.
  runtimes_come_ = {};
  connections_.clear();
  socket_.end();
  (void)LastCloses::all().hand_over_all(kDrainPatience);
  if (kept_state_) drained = kept_state_->wait_for_end(kStatePatience) && drained;
  if (!drained && joined == 0) spdlog::warn("some calls in flight did not end");
  tell_of_lost_service(containers_.count());
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
