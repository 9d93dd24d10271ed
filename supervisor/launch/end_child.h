// Kills a child that never became the command, and reaps it.
//
// The child's end may be kept from us, by who traces it or by a file that it executes. So nobody
// waits for it for ever: two seconds at most.
//
// Thread rule: the thread that reaps our children.
#pragma once

#include <sys/types.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace shmvisor {

/// Does nothing where the child was reaped already: then its pid may be another process's.
inline void end_child(pid_t pid) {
  constexpr int kMostLooks = 1000;
  constexpr std::chrono::milliseconds kBetweenLooks(2);
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) return;
  ::kill(pid, SIGKILL);
  for (int looks = 0; looks < kMostLooks && ::waitpid(pid, nullptr, WNOHANG) == 0; ++looks) {
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

}  // namespace shmvisor
