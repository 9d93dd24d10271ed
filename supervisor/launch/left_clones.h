// LeftClones: children that the program before this one, in the same process, had made for work of
// a moment (signal-witness, shmvisor-close), and that had not ended when it did. They send no
// SIGCHLD, so nobody else reaps them.
//
// Ownership: borrows the loop. Thread rule: the main thread; made before we have such children.
#pragma once

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include "supervisor/loop/event_loop.h"

namespace shmvisor {

class LeftClones {
 public:
  explicit LeftClones(EventLoop& loop) : again_(loop.timer([this] { look(); })) {
    const std::string self = std::to_string(::getpid());
    std::ifstream children("/proc/self/task/" + self + "/children");
    for (pid_t pid = 0; children >> pid;) left_.push_back(pid);
    look();
  }

 private:
  void look() {
    // Other children are no such ones: -1.
    std::erase_if(left_,
                  [](pid_t pid) { return ::waitpid(pid, nullptr, __WCLONE | WNOHANG) != 0; });
    if (left_.empty()) return;
    if (EventLoop::Clock::now() > kill_at_) {
      for (const pid_t pid : left_) ::kill(pid, SIGKILL);
    }
    again_.set(EventLoop::Clock::now() + std::chrono::milliseconds(50));
  }

  EventLoop::Timer again_;
  const EventLoop::Clock::time_point kill_at_ = EventLoop::Clock::now() + std::chrono::seconds(5);
  std::vector<pid_t> left_;
};

}  // namespace shmvisor
