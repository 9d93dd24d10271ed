#include "supervisor/launch/server_keeper.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <new>
#include <utility>

#include "supervisor/keeper/kept_store.h"
#include "supervisor/keeper/program_exec.h"
#include "supervisor/keeper/server_clone.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/log/process_log.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/session/end_process.h"

namespace shmvisor {
namespace {

constexpr std::chrono::minutes kOfDeaths(1);
/// A reader of the log that takes nothing delays the next server for so long.
constexpr std::chrono::milliseconds kLogBound(50);
/// Where there is no memory for a server, or no pid.
constexpr std::chrono::milliseconds kBeforeCloningAgain(100);
constexpr std::chrono::milliseconds kBetweenLooks(50);

/// A server that runs out of memory while it begins must not throw: on the way up everything would
/// be destroyed, and close descriptors that it shares with the keeper and with the next server.
void leave_to_next_without_memory() {
  const timespec pause{0, 500'000'000};
  ::nanosleep(&pause, nullptr);
  ::_exit(exit_status::kOwnFailure);
}

}  // namespace

ServerKeeper::ServerKeeper(EventLoop& loop, const Kept& kept, Plan plan, int other)
    : page_(kept.page),
      plan_(std::move(plan)),
      folder_(::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
      clone_again_(loop.timer([this] { start(); })),
      look_again_(loop.timer([this] { look_at_closing(); })) {
  // At a death there may be no memory.
  named_.reserve(plan_.most_named);
  if (const auto open = numbered_entries("/proc/self/fd")) own_ = *open;
  std::erase_if(own_, [](int fd) { return ::fcntl(fd, F_GETFD) < 0; });  // that of the list
  std::erase(own_, other);
  const std::vector<int>& left = KeptStore::ours().inherited();
  std::erase_if(own_, [&left](int fd) { return std::ranges::binary_search(left, fd); });
  for (const int fd : way_back())
    std::erase(own_, fd);  // servers' files come to have their numbers
  std::ranges::sort(own_);
}

void ServerKeeper::start() {
  clone_again_.cancel();
  if (dead_left_ && !close_descriptors_of_the_dead()) {
    spdlog::critical("the descriptors of the server that ended cannot be listed");
    status_ = exit_status::kOwnFailure;
    return;
  }
  dead_left_ = false;
  if (const auto replace = std::exchange(replace_, nullptr)) {
    clone_again_.set(Clock::now() + kBeforeCloningAgain);  // where that runs out of memory
    replace();
    clone_again_.cancel();
  }
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
      end_process_at_once(plan_.serve());
    }();
  }
  server_ = *server;
  plan_.started(*server);
}

void ServerKeeper::replace_server(std::function<void()> replace) {
  replace_ = std::move(replace);
  if (server_ != 0) {
    ::kill(server_, SIGKILL);
  } else {
    clone_again_.set(Clock::now());
  }
}

void ServerKeeper::own(int fd) {
  const auto place = std::ranges::lower_bound(own_, fd);
  own_.insert(place, fd);
}

Result<std::vector<int>, std::string> ServerKeeper::taken_over() {
  const auto open = numbered_entries("/proc/self/fd");
  if (!open) return std::string("descriptors cannot be listed; raise RLIMIT_NOFILE");
  std::vector<int> all;
  named_.clear();
  plan_.name_kept(named_);
  std::ranges::sort(named_);
  for (const int fd : *open) {
    const bool is_own = std::ranges::binary_search(own_, fd);
    if (!is_own && (page_.descriptors.kept(fd) || is_kept(fd))) all.push_back(fd);
  }
  return all;
}

void ServerKeeper::see_end(const siginfo_t& end) {
  server_ = 0;
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
  if (replace_) {
    page_.was_killed.store(true);
    return start();
  }
  const std::string how = end.si_code == CLD_EXITED
                              ? "ended with status " + std::to_string(end.si_status)
                              : "was ended by signal " + std::to_string(end.si_status);
  page_.was_killed.store(end.si_code == CLD_KILLED && end.si_status == SIGKILL);
  const auto now = Clock::now();
  deaths_.push_back(now);
  while (deaths_.front() + kOfDeaths < now) deaths_.pop_front();
  if (!page_.serves.load() && plan_.first_must_last) {
    spdlog::critical("the server {} while it restored", how);
    page_.gave_up.store(true);
    status_ = exit_status::kOwnFailure;
  } else if (std::cmp_greater_equal(deaths_.size(), plan_.most_deaths)) {
    spdlog::critical("the server {}, death {} in a minute: no other one is started", how,
                     deaths_.size());
    status_ = exit_status::kOwnFailure;
  } else {
    spdlog::warn("the server {}: another one goes on", how);
  }
  flush_process_log(kLogBound);
  if (!status_) return start();
  clone_again_.cancel();
}

bool ServerKeeper::close_descriptors_of_the_dead() {
  named_.clear();
  plan_.name_kept(named_);
  std::ranges::sort(named_);
  return close_all_but_kept();
}

void ServerKeeper::close_what_is_left() {
  named_.clear();
  (void)close_all_but_kept();
}

bool ServerKeeper::close_all_but_kept() {
  const bool listed = for_each_descriptor_but(
      folder_.get(), page_.descriptors,
      [](int fd, void* self) {
        ServerKeeper& keeper = *static_cast<ServerKeeper*>(self);
        if (!keeper.is_kept(fd)) keeper.closing_.add(fd);
      },
      this);
  closing_.flush();
  look_at_closing();
  return listed;
}

void ServerKeeper::look_at_closing() {
  if (!closing_.over()) look_again_.set(Clock::now() + kBetweenLooks);
}

bool ServerKeeper::is_kept(int fd) const {
  return std::ranges::binary_search(own_, fd) || std::ranges::binary_search(named_, fd) ||
         plan_.keeps(fd);
}

}  // namespace shmvisor
