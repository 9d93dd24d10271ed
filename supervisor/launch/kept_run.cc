#include "supervisor/launch/kept_run.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <deque>
#include <functional>
#include <new>
#include <utility>
#include <vector>

#include "supervisor/journal/call_slots.h"
#include "supervisor/keeper/server_clone.h"
#include "supervisor/launch/closing_of_the_dead.h"
#include "supervisor/launch/end_child.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/init_loop.h"
#include "supervisor/launch/rescue_process.h"
#include "supervisor/log/process_log.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/scope/descendant_scope.h"
#include "supervisor/session/end_process.h"

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;

constexpr std::chrono::minutes kOfDeaths(1);
/// A reader of the log that takes nothing delays the next server for so long.
constexpr std::chrono::milliseconds kLogBound(50);
/// Where there is no memory for a server, or no pid.
constexpr std::chrono::milliseconds kBeforeCloningAgain(100);
constexpr std::chrono::milliseconds kBetweenLooks(50);
/// A server that dies may have the command stop until the next one has given it back what it had.
constexpr std::chrono::milliseconds kOfStop(200);

/// A server that runs out of memory while it begins must not throw: on the way up everything would
/// be destroyed, and close descriptors that it shares with the keeper and with the next server.
void leave_to_next_without_memory() {
  const timespec pause{0, 500'000'000};
  ::nanosleep(&pause, nullptr);
  ::_exit(exit_status::kOwnFailure);
}

class Keeper {
 public:
  /// `serve`: in the server. Answers its exit status.
  Keeper(const Launched& launched, std::function<int()> serve)
      : launched_(launched),
        page_(launched.kept->page),
        rescue_(launched.kept->state, page_, launched.features),
        serve_(std::move(serve)),
        below_(launched.features),
        init_(loop_, launched.command.pid(), launched.group, launched.options.signal_group,
              launched.inherited.watched(), below_),
        clone_again_(loop_.timer([this] { start_server(); })),
        look_again_(loop_.timer([this] { look_at_closing(); })) {
    launched.prepare(init_);
    init_.wait_with_stops(kOfStop, [this] {
      return !CallSlots::any(launched_.kept->state, journal::InjectionNote::kGuarded);
    });
    init_.tell([this] { tell_server(); });
    // At a death there may be no memory.
    if (launched.kept->visitors != nullptr) of_visitors_.reserve(KeptVisitors::kMostDescriptors);
    if (const auto open = numbered_entries("/proc/self/fd")) own_ = *open;
    std::erase_if(own_, [](int fd) { return ::fcntl(fd, F_GETFD) < 0; });  // that of the list
    std::erase(own_, init_.witness_fd());  // until it is dismissed: is_own()
  }

  int run() {
    if (!init_.valid()) return exit_status::kOwnFailure;
    below_.leave_out(rescue_.pid(), 1);
    if (!folder_.valid() || own_.empty()) {
      return launched_.give_up({exit_status::kOwnFailure,
                                "--keeper: its descriptors cannot be listed; raise RLIMIT_NOFILE"});
    }
    start_server();
    init_.look();
    (void)loop_.run_while([this] { return !status_; });
    if (page_.gave_up.load()) {
      end_child(launched_.command.pid());  // unless it is reaped
      launched_.group.leave(launched_.command.pid());
    }
    flush_process_log();
    close_what_is_left();
    return status_.value_or(exit_status::kOwnFailure);
  }

 private:
  void start_server() {
    clone_again_.cancel();
    if (dead_left_ && !close_descriptors_of_the_dead()) {
      spdlog::critical("the descriptors of the server that ended cannot be listed");
      status_ = exit_status::kOwnFailure;
      return;
    }
    dead_left_ = false;
    const auto server = clone_server();
    if (!server) {
      spdlog::error("no new server: {}", std::strerror(server.error().value()));
      flush_process_log(kLogBound);
      clone_again_.set(Clock::now() + kBeforeCloningAgain);
      return;
    }
    if (*server == 0) {
      // What is thrown ends the server: nothing of the keeper's goes on in it.
      std::set_new_handler(leave_to_next_without_memory);  // until it serves
      [this]() noexcept {
        let_process_log_have_thread(true);
        end_process_at_once(serve_());
      }();
    }
    page_.server.store(*server);
    below_.leave_out(*server);
    init_.watch_child(*server, [this](const siginfo_t& end) { see_end(end); });
  }

  void tell_server() {
    if (const auto& status = init_.status()) page_.command_status.store(*status);
    if (init_.told_to_end()) page_.told_to_end.store(true);
    const std::uint64_t one = 1;
    (void)!::write(launched_.kept->news, &one, sizeof(one));
  }

  void see_end(const siginfo_t& end) {
    if (const int status = page_.status.load(); status != KeeperPage::kNone) {
      status_ = status;
      return;
    }
    if (page_.lost.load()) {  // it has said why
      status_ = exit_status::kOwnFailure;
      return;
    }
    dead_left_ = true;
    clone_again_.set(Clock::now());  // also where what follows runs out of memory
    const std::string how = end.si_code == CLD_EXITED
                                ? "ended with status " + std::to_string(end.si_status)
                                : "was ended by signal " + std::to_string(end.si_status);
    page_.was_killed.store(end.si_code == CLD_KILLED && end.si_status == SIGKILL);
    const auto now = Clock::now();
    deaths_.push_back(now);
    while (deaths_.front() + kOfDeaths < now) deaths_.pop_front();
    const bool too_many = std::cmp_greater_equal(deaths_.size(), launched_.options.keeper_deaths);
    if (!page_.serves.load() && !launched_.options.restore_path.empty()) {
      spdlog::critical("the server {} while it restored", how);
      page_.gave_up.store(true);
      status_ = exit_status::kOwnFailure;
    } else if (too_many) {
      spdlog::critical("the server {}, death {} in a minute: no other one is started", how,
                       deaths_.size());
      status_ = exit_status::kOwnFailure;
    } else {
      spdlog::warn("the server {}: another one goes on", how);
    }
    flush_process_log(kLogBound);
    if (!status_) return start_server();
    clone_again_.cancel();
  }

  bool close_descriptors_of_the_dead() {
    if (launched_.kept->visitors != nullptr) {
      launched_.kept->visitors->list_descriptors(of_visitors_);
    }
    return close_all_but_own();
  }

  /// At the end of the run: what its visitors gave, too. Our own end would wait for the last close.
  void close_what_is_left() {
    of_visitors_.clear();
    (void)close_all_but_own();
  }

  bool close_all_but_own() {
    const bool listed = for_each_descriptor_but(
        folder_.get(), page_.descriptors,
        [](int fd, void* self) {
          Keeper& keeper = *static_cast<Keeper*>(self);
          if (!keeper.is_own(fd)) keeper.closing_.add(fd);
        },
        this);
    closing_.flush();
    look_at_closing();
    return listed;
  }

  void look_at_closing() {
    if (!closing_.over()) look_again_.set(Clock::now() + kBetweenLooks);
  }

  /// Whether it was open before there was a server, or has been opened here since; or is one of
  /// those who have joined.
  [[nodiscard]] bool is_own(int fd) const {
    return fd == init_.witness_fd() || std::ranges::find(own_, fd) != own_.end() ||
           std::ranges::binary_search(of_visitors_, fd);
  }

  const Launched& launched_;
  KeeperPage& page_;
  RescueProcess rescue_;
  const std::function<int()> serve_;
  /// Our descriptors, for when a server has left no room to open a file.
  const UniqueFd folder_{::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  EventLoop loop_;
  DescendantScope below_;
  InitLoop init_;
  EventLoop::Timer clone_again_;
  EventLoop::Timer look_again_;  ///< while processes close what a server had
  ClosingOfTheDead closing_;
  std::vector<int> own_;
  std::vector<int> of_visitors_;  ///< sorted
  bool dead_left_ = false;        ///< what a server that died had open may be open still
  std::deque<Clock::time_point> deaths_;
  std::optional<int> status_;
};

}  // namespace

int run_kept(const Launched& launched, UniqueFd listener, std::optional<JoinSocket> socket,
             ServingRun::Groundwork groundwork) {
  if (const auto failure = ServingRun::open_control_socket(launched.options, groundwork)) {
    return launched.give_up(*failure);
  }
  // Each server has the same one, whose IPC namespace is held open here.
  ServingRun::Groundwork same = ServingRun::complete(launched, std::move(groundwork));
  flush_process_log();  // or each server would write these lines, too
  Keeper keeper(launched, [&] {
    return ServingRun(launched, std::move(listener), std::move(socket), std::move(same)).run();
  });
  return keeper.run();
}

}  // namespace shmvisor
