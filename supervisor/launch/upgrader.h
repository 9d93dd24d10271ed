// Upgrader: lets another program take over from a keeper's, in the same process, which so stays the
// command's parent. keeper/README.md says what it finds.
//
// First that program is asked, in a child, whether it could go on: it reads all that there is, and
// changes nothing. Where it could not, or is no shmvisor, we stay, and say why. Then the server
// begins no further call, is given a moment for those in service, and is ended; and the program is
// executed. Calls that come meanwhile wait for the next server.
//
// The program is the file that was opened first, whatever comes to have its name. Whoever may write
// to the control socket names it: our own user and root. So that nobody else decides what is
// executed, the file is to be root's or ours, and writable by nobody else.
//
// Errors: in KeptUpgrade, and in the log. Ownership: borrows all. Thread rule: the keeper's only
// thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/base/unique_fd.h"
#include "supervisor/launch/kept.h"
#include "supervisor/launch/server_keeper.h"
#include "supervisor/loop/event_loop.h"

namespace shmvisor {

class Upgrader {
 public:
  struct Keeper {
    /// The function is to be told of that child's end.
    std::function<void(pid_t, std::function<void(const siginfo_t&)>)> watch_child;
    /// Why it is not the time for it; empty: it is.
    std::function<std::string()> not_now = [] { return std::string(); };
    /// Before this program goes: what shall not outlive it.
    std::function<void()> leave = [] {};
    /// It stays after all.
    std::function<void()> stay = [] {};
  };

  Upgrader(EventLoop& loop, const Kept& kept, ServerKeeper& servers, Keeper keeper);

  /// A signal asks for it.
  void ask();

 private:
  using Clock = EventLoop::Clock;

  /// A descriptor that outlives the server, as the keeper's others do.
  class KeeperFile {
   public:
    explicit KeeperFile(ServerKeeper& servers) : servers_(servers) {}
    KeeperFile(const KeeperFile&) = delete;
    KeeperFile& operator=(const KeeperFile&) = delete;
    ~KeeperFile() { reset(UniqueFd()); }

    void reset(UniqueFd file) {
      if (file_.valid()) servers_.disown(file_.get());
      file_ = std::move(file);
      if (file_.valid()) servers_.own(file_.get());
    }
    [[nodiscard]] const UniqueFd& fd() const { return file_; }

   private:
    ServerKeeper& servers_;
    UniqueFd file_;
  };

  /// Where `step` finds no memory, this program goes on.
  template <typename Step>
  void carry_out(Step step);
  void give_up() noexcept;
  void see_wish();
  /// A client's wish, or else a signal's.
  void begin_next();
  /// `path`: empty: where our program was started from.
  void begin(const std::string& path);
  [[nodiscard]] std::string open_program(const std::string& path);
  [[nodiscard]] std::string begin_check();
  void end_check(const siginfo_t& end);
  [[nodiscard]] std::string verdict(const siginfo_t& end) const;
  void pause();
  void look_whether_quiet();
  void change_program();
  /// Returns where that fails: why.
  [[nodiscard]] std::string exec_next();
  void stay(const std::string& why);
  void answer_with(std::string_view path, std::string_view why) noexcept;
  [[nodiscard]] bool calls_in_service() const;

  const Kept& kept_;
  ServerKeeper& servers_;
  const Keeper keeper_;
  const EventLoop::Source wished_;
  EventLoop::Timer too_long_;
  EventLoop::Timer look_again_;
  bool busy_ = false;
  std::uint32_t wish_ = 0;     ///< that it is busy with: the client's number; 0: a signal's
  bool left_ = false;          ///< keeper_.leave() was called
  bool signal_waits_ = false;  ///< to be next
  std::string path_;
  KeeperFile program_;
  KeeperFile handover_;        ///< of the check
  KeeperFile output_;          ///< of the check
  std::string configuration_;  ///< that the program was checked with
  pid_t checker_ = 0;
  std::vector<std::string> words_;
  std::optional<Clock::time_point> paused_until_;
};

}  // namespace shmvisor
