// ServerKeeper: the part of a keeper that starts servers, one after another. A server is a clone of
// this process, which shares its descriptors; one that dies is followed by another, which goes on
// with what the dead one had open and what lies in memory that all share.
//
// A server that ends because all is done says so in the KeeperPage; any other end is a death. At
// too many deaths within a minute no other server is started.
//
// Ownership: borrows all; whoever turns the loop tells of the server's end. Thread rule: the main
// thread, which is the only one.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/launch/closing_of_the_dead.h"
#include "supervisor/launch/kept.h"
#include "supervisor/loop/event_loop.h"

namespace shmvisor {

class ServerKeeper {
 public:
  struct Plan {
    int most_deaths = 5;           ///< in a minute
    bool first_must_last = false;  ///< what it begins with cannot be begun twice
    /// In the server: answers its exit status.
    std::function<int()> serve;
    /// In the keeper, with the server's pid: its end is to be told to see_end().
    std::function<void(pid_t)> started;
    /// Appends descriptors that the next server takes over, beyond those of the page: at most
    /// `most_named`.
    std::function<void(std::vector<int>&)> name_kept = [](std::vector<int>&) {};
    std::size_t most_named = 0;
    /// Whether the next server takes over one that is not named.
    std::function<bool(int)> keeps = [](int) { return false; };
  };

  /// All descriptors that are open now are the keeper's own, but for `other`, and for what servers
  /// of another program of this process have left.
  ServerKeeper(EventLoop& loop, const Kept& kept, Plan plan, int other = -1);

  /// Whether descriptors can be listed. Precondition of all else.
  [[nodiscard]] bool valid() const { return folder_.valid() && !own_.empty(); }
  void start();
  void see_end(const siginfo_t& end);
  /// At the end: also what is named. Our own end would wait for the last close of each.
  void close_what_is_left();
  /// Ends the server, and calls `replace` once what only that had open is closed. Where it returns,
  /// another server goes on. It is not a death.
  void replace_server(std::function<void()> replace);
  /// A descriptor that the keeper has opened later, and that stays when a server dies; until
  /// disown().
  void own(int fd);
  void disown(int fd) { std::erase(own_, fd); }
  /// Those that are open now and that a next server takes over, beyond the keeper's own.
  [[nodiscard]] Result<std::vector<int>, std::string> taken_over();
  /// When it is over: the exit status.
  [[nodiscard]] const std::optional<int>& status() const { return status_; }

 private:
  using Clock = EventLoop::Clock;

  bool close_descriptors_of_the_dead();
  bool close_all_but_kept();
  void look_at_closing();
  [[nodiscard]] bool is_kept(int fd) const;

  KeeperPage& page_;
  const Plan plan_;
  /// Our descriptors, for when a server has left no room to open a file.
  const UniqueFd folder_;
  EventLoop::Timer clone_again_;
  EventLoop::Timer look_again_;  ///< while processes close what a server had
  ClosingOfTheDead closing_;
  pid_t server_ = 0;
  std::function<void()> replace_;  ///< null: the server is not to be replaced
  std::vector<int> own_;           ///< sorted
  std::vector<int> named_;         ///< sorted
  bool dead_left_ = false;         ///< what a server that died had open may be open still
  std::deque<Clock::time_point> deaths_;
  std::optional<int> status_;
};

}  // namespace shmvisor
