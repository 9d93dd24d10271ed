// A process that serves for a moment and dies: it shares our descriptors, but not our memory, as a
// server does with its keeper.
#pragma once

#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

namespace shmvisor {

[[noreturn]] inline void die() {
  for (;;) ::kill(::getpid(), SIGKILL);
}

/// Starts it; -1 where that fails.
inline pid_t start_server(const std::function<void()>& serve) {
  const long pid = ::syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid == 0) {
    serve();
    die();
  }
  return static_cast<pid_t>(pid);
}

/// Whether it was killed.
inline bool is_killed(pid_t server) {
  int status = 0;
  return server > 0 && ::waitpid(server, &status, 0) == server && WIFSIGNALED(status) &&
         WTERMSIG(status) == SIGKILL;
}

/// Whether it came to the end of `serve`, or to a die() before its locals are destroyed.
inline bool serve_and_die(const std::function<void()>& serve) {
  return is_killed(start_server(serve));
}

}  // namespace shmvisor
