#include "supervisor/launch/serving_run.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "supervisor/audit/process_audit.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/init_loop.h"
#include "supervisor/launch/kept_command.h"
#include "supervisor/launch/restore_file.h"
#include "supervisor/scope/supervised_scope.h"
#include "supervisor/session/end_process.h"

namespace shmvisor {
namespace {

/// For the mounts of the files in /proc to go with the last process.
constexpr std::chrono::milliseconds kUnmountBound(100);
constexpr std::chrono::milliseconds kUpkeepBound(1000);
constexpr std::chrono::milliseconds kControlBound(1000);
constexpr std::chrono::milliseconds kReloadPatience(1000);
constexpr std::chrono::milliseconds kReportBound(5000);
/// Nobody waits for a run that has ended but whoever wants the file, and a disk may be slow.
constexpr std::chrono::hours kSaveBound(24);
/// For the last bytes to reach the disk.
constexpr std::chrono::minutes kSyncBound(10);
constexpr std::chrono::milliseconds kSyncEndBound(10);

pid_t g_command = 0;

/// All that may be under our filter.
std::shared_ptr<SupervisedScope> scope_below_us(const KernelFeatures& features) {
  auto scope = std::make_shared<SupervisedScope>(features);
  scope->add_root(getpid());
  return scope;
}

/// `output`: a file; empty: standard error.
Result<SideClient> start_client(const char* subcommand, const std::string& output,
                                bool goes_on = false) {
  std::vector<std::string> words{subcommand};
  if (goes_on) words.emplace_back("--goes-on");
  if (!output.empty()) words.insert(words.end(), {"--output", output});
  return SideClient::start(std::move(words));
}

/// Which file has that name; {0, 0} where none has.
std::pair<dev_t, ino_t> file_at(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

std::shared_ptr<Session> make_session(const RunOptions& options,
                                      std::shared_ptr<SessionResources> resources,
                                      UniqueFd ipc_namespace) {
  return Session::of_command(std::move(resources), options.limits, options.memory,
                             std::move(ipc_namespace));
}

Failure own_failure(std::string message) { return {exit_status::kOwnFailure, std::move(message)}; }

}  // namespace

ServingRun::Groundwork ServingRun::lay_groundwork(const RunOptions& options,
                                                  KernelFeatures& features) {
  Groundwork groundwork{std::make_shared<SessionResources>(features), nullptr};
  groundwork.resources->steer(options.steering);
  if (!options.private_ipc) {
    groundwork.session = make_session(options, groundwork.resources, UniqueFd());
  }
  return groundwork;
}

ServingRun::Groundwork ServingRun::complete(const Launched& launched, Groundwork groundwork) {
  if (groundwork.session == nullptr) {
    groundwork.session =
        make_session(launched.options, groundwork.resources, launched.command.ipc_namespace());
  }
  return groundwork;
}

ServingRun::ServingRun(const Launched& launched, UniqueFd listener,
                       std::optional<JoinSocket> socket, Groundwork groundwork)
    : launched_(launched),
      groundwork_(complete(launched, std::move(groundwork))),
      kept_state_(read_or_give_up(launched.kept)),
      resources_(std::move(groundwork_.resources)),
      upkeep_(loop_, resources_),
      audit_trouble_(begin_process_audit()),
      session_(bring_back(std::move(groundwork_.session))),
      covers_(launched.command.pid()),
      files_(serve_files()),
      served_(session_, std::move(listener), launched.command.wait_kind(), server_options()),
      last_process_(loop_, served_.listener(), [this] { watch_->command_ends(); }),
      below_(launched.features),
      watch_(watch_command()) {
  session_->scope().add(scope_below_us(launched.features));
  upkeep_.add(session_);
  if (socket) joined_.emplace(loop_, std::move(*socket), session_);
  if (launched.is_first() && launched.options.cleanup == CleanupMode::kRmidForced) {
    session_->registries().initial()->set_rmid_forced(true);
  }
  if (launched.options.cleanup == CleanupMode::kOrphaned) {
    cleanup_.emplace(loop_, [this] { return OrphanCleanup::Sessions{session_}; });
  }
}

void ServingRun::prepare_reloads(const std::shared_ptr<Session>& session) {
  reloader_.emplace(loop_, launched_.options.read_again, [this, session](const Steering& steering) {
    session->steer(steering);
    resources_->steer(steering);
    if (launched_.kept != nullptr) launched_.kept->page.steered.store(true);
  });
}

std::shared_ptr<Session> ServingRun::bring_back(std::shared_ptr<Session> session) {
  const RunOptions& options = launched_.options;
  if (options.read_again && options.control.wanted()) prepare_reloads(session);
  // What the last server had read is lost with it. The limits that clients have set since then are
  // in the state, which comes back behind that.
  if (reloader_ && launched_.kept != nullptr && launched_.kept->page.steered.load()) {
    reloader_->read_at_once(kReloadPatience);
  }
  if (kept_state_ == nullptr) return session;
  if (const auto done = kept_state_->bring_back(*session); !done) {
    give_up_state(*launched_.kept, done.error());
  }
  return session;
}

std::unique_ptr<CommandWatch> ServingRun::watch_command() {
  if (launched_.kept != nullptr) {
    return std::make_unique<KeptCommand>(loop_, launched_.kept->page, launched_.kept->news);
  }
  auto init = std::make_unique<InitLoop>(loop_, launched_.command.pid(), launched_.group,
                                         launched_.options.signal_group,
                                         launched_.inherited.watched(), below_);
  launched_.prepare(*init);
  return init;
}

std::unique_ptr<ProcFileSystem> ServingRun::serve_files() {
  UniqueFd connection = launched_.command.take_connection();
  if (launched_.kept != nullptr && launched_.kept->page.fuse.is_over.load()) {
    (void)connection.release();
  }
  if (!connection.valid()) return nullptr;
  auto files = session_->make_files();
  // Where it cannot be served it is closed, and the child finds that it cannot mount its files.
  FuseBeginning* const beginning = launched_.kept == nullptr ? nullptr : &launched_.kept->page.fuse;
  if (const auto started = files->start(std::move(connection), beginning); !started) {
    spdlog::warn("cannot serve the files in /proc: {}", std::strerror(started.error().value()));
    return nullptr;
  }
  return files;
}

ServerOptions ServingRun::server_options() {
  ServerOptions options = session_->server_options();
  options.most_remembered = static_cast<std::size_t>(session_->plan().remembered_callers);
  options.tracer_wait = launched_.tracer_wait();
  if (launched_.kept != nullptr) options.most_waiting_of_user = CallSlots::kMostWaitingOfUser;
  if (files_ != nullptr) {
    options.on_namespace_change = [this](pid_t tid, uid_t user) { covers_.cover(tid, user); };
  }
  return options;
}

int ServingRun::run() {
  g_command = launched_.command.pid();
  // A kept server has signals of its own alone; those for the command are its keeper's to pass on.
  KickTimer::install_handler(launched_.kept != nullptr
                                 ? [](int /*signal_number*/) {}
                                 : [](int signal_number) { ::kill(g_command, signal_number); });
  auto failure = start();
  if (failure && !launched_.is_first()) {
    spdlog::error("{}", failure->message);
    leave_to_next(failure->exit_status);
  }
  if (!failure) failure = launched_.let_go(*watch_, [] { Server::keep_reserve(); });
  const int its_status = failure
                             ? launched_.give_up(*failure)
                             : watch_->run(launched_.options.linger, [this] { return all_gone(); });
  // A command that did not run leaves an older file as it is.
  to_be_saved_ = !failure && !launched_.options.save_path.empty();
  const auto [status, whole] = end(its_status);
  if (launched_.kept != nullptr) launched_.kept->page.status.store(status);
  if (!whole) end_process_at_once(status);
  return status;
}

std::optional<Failure> ServingRun::open_control_socket(const RunOptions& options,
                                                       Groundwork& groundwork) {
  if (!options.control.wanted()) return std::nullopt;
  const auto place = control::place_for(options.control);
  if (!place) return own_failure(place.error().text);
  auto socket = ControlSocket::listen_at(*place);
  if (!socket) return own_failure(socket.error().text);
  groundwork.control.emplace(std::move(*socket));
  return std::nullopt;
}

std::optional<Failure> ServingRun::open_control() {
  const RunOptions& options = launched_.options;
  const bool has_clients_of_ours = options.trace || options.report || !options.save_path.empty();
  if (!options.control.wanted() && !has_clients_of_ours) return std::nullopt;
  control_.emplace(loop_, *resources_,
                   ControlServer::Identity{"run", options.control.name, launched_.pid()},
                   [session = session_] {
                     return std::vector<NamedSession>{{kMainRegistry, session}};
                   });
  const auto no_descriptor = [] {
    return own_failure("no descriptor for its control; raise RLIMIT_NOFILE");
  };
  if (!control_->valid()) return no_descriptor();
  if (reloader_ && !reloader_->valid()) return no_descriptor();
  if (reloader_) control_->reload_by(*reloader_);
  if (upgrade_desk_) control_->upgrade_by(*upgrade_desk_);
  if (!groundwork_.control) {
    if (auto failure = open_control_socket(options, groundwork_)) return failure;
  }
  if (!launched_.is_first()) resources_->tally.note_takeover();
  note_peaks({{kMainRegistry, session_}});
  if (groundwork_.control) control_->listen(std::move(*groundwork_.control));
  if (!options.trace) return std::nullopt;
  auto tracer = start_client("trace", *options.trace, !launched_.is_first());
  if (!tracer) {
    return own_failure(std::string("--trace: cannot start a process for it: ") +
                       std::strerror(tracer.error().value()));
  }
  tracer_.emplace(std::move(*tracer));
  below_.leave_out(tracer_->pid());
  control_->take_in(StrangersFile::of(tracer_->take_connection()), /*follows=*/true);
  return std::nullopt;
}

std::optional<Failure> ServingRun::start() {
  if (launched_.is_first()) {
    if (auto failure = restore_file(launched_, *session_->registries().initial())) return failure;
  }
  if (const Kept* const kept = launched_.kept) {
    upgrade_desk_.emplace(loop_, kept->upgrade, kept->upgrade_asked, kept->upgrade_answered);
  }
  if (auto failure = open_control()) return failure;
  if (audit_trouble_) return own_failure(*audit_trouble_);
  audit(AuditLog::kNobody, [this] {
    if (launched_.is_first()) return record_of_command("start");
    return record_of_takeover();
  });
  // It may begin with calls, in threads that need our signal handler.
  if (kept_state_ != nullptr) kept_state_->bring_back(served_, joined_ ? &*joined_ : nullptr);
  const auto started = served_.server().start();
  if (started && launched_.kept != nullptr) {
    launched_.kept->page.serves.store(true);
    std::set_new_handler(nullptr);
  }
  if (started) return std::nullopt;
  return Failure{exit_status::kOwnFailure,
                 std::string("cannot start a serving thread: ") +
                     std::strerror(started.error().value()) +
                     "; raise RLIMIT_NPROC, RLIMIT_NOFILE or the pids limit of the cgroup"};
}

bool ServingRun::all_gone() const {
  return last_process_.gone() && (!joined_ || joined_->all_gone());
}

AuditRecord ServingRun::record_of_command(const char* event) const {
  AuditRecord record(event);
  record.add("pid", launched_.command.pid());
  return std::move(record.add("command", launched_.options.command.front()));
}

ServingRun::End ServingRun::end(int status) {
  const bool ended = end_serving();
  if (control_) control_->give_up_reloads();
  if (control_) control_->finish_following(kControlBound);
  if (control_) control_->accept_no_more();
  if (to_be_saved_ && !save_registry() && status == 0) status = exit_status::kOwnFailure;
  audit(AuditLog::kNobody,
        [&] { return std::move(record_of_command("stop").add("status", status)); });
  if (control_ && launched_.options.report) print_report(*launched_.options.report);
  bool control_ended = !control_ || control_->drain(kControlBound);
  if (reloader_ && !reloader_->wait_for_end(kControlBound)) control_ended = false;
  if (tracer_ && !tracer_->wait_for_end(kControlBound)) {
    spdlog::warn("--trace: what it writes to takes nothing; some calls are not in it");
  }
  end_process_audit(kControlBound);
  // Where one does not end, the others are not waited for as long again.
  const bool cleanup_ended = !cleanup_ || cleanup_->wait_for_end(kUpkeepBound);
  // The loop has turned: no task begins any more.
  const bool kept_ended = kept_state_ == nullptr || kept_state_->wait_for_end(kUpkeepBound);
  const bool all_ended = kept_ended && cleanup_ended && upkeep_.wait_for_end(kUpkeepBound);
  return {status, all_ended && ended && control_ended};
}

void ServingRun::take_in_alone(SideClient& client) {
  below_.leave_out(client.pid());
  control_->drop_all();
  control_->take_in(StrangersFile::of(client.take_connection()), /*follows=*/false);
}

void ServingRun::print_report(const std::string& output) {
  auto client = start_client("report", output);
  if (!client) {
    spdlog::warn("--report: cannot start a process for it: {}",
                 std::strerror(client.error().value()));
    return;
  }
  take_in_alone(*client);
  const bool served = control_->serve_the_rest(kReportBound);
  if (!client->wait_for_end(kControlBound) || !served) {
    spdlog::warn("--report: it takes too long");
  }
}

bool ServingRun::save_registry() {
  const std::string& path = launched_.options.save_path;
  const auto before = file_at(path);
  // It would be taken for an option.
  const std::string operand = path.front() == '-' ? "./" + path : path;
  auto client = SideClient::start({"save", "--registry", kMainRegistry, operand});
  if (!client) {
    spdlog::error("--save-at-end: cannot start a process for it: {}",
                  std::strerror(client.error().value()));
    return false;
  }
  take_in_alone(*client);
  (void)control_->serve_the_rest(kSaveBound);
  // In turns of the loop, which reaps orphans meanwhile.
  bool ended = false;
  const EventLoop::Source end = loop_.watch(client->pidfd(), POLLIN, [&](short) { ended = true; });
  (void)loop_.run_while([&] { return !ended; }, EventLoop::Clock::now() + kSyncBound);
  // What is wrong the client has said. Its status may have been reaped with those of orphans.
  if (!client->wait_for_end(kSyncEndBound)) spdlog::error("--save-at-end: it takes too long");
  if (file_at(path) != before) return true;
  spdlog::error("--save-at-end: {} was not written", path);
  return false;
}

bool ServingRun::end_serving() {
  // The processes that are left keep the mounts.
  const auto unmount_bound = all_gone() ? kUnmountBound : std::chrono::milliseconds(0);
  if (joined_ && !joined_->drain()) return false;
  return served_.server().wait_for_end() &&
         (files_ == nullptr || files_->wait_for_end(unmount_bound));
}

}  // namespace shmvisor
