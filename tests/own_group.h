// Tests in a child that leads a process group of its own, with all signals blocked.
#pragma once

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "tests/supervised_child.h"

namespace shmvisor {

inline int in_own_group(const std::function<int()>& body) {
  Child child([&] {
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    ::setpgid(0, 0);
    return body();
  });
  return exit_status_of(child);
}

/// Our only child, the witness; 0 where there is none.
inline pid_t find_witness() {
  siginfo_t info{};
  for (pid_t pid = ::getpid() + 1; pid < ::getpid() + 1000; ++pid) {
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0) {
      return pid;
    }
  }
  return 0;
}

}  // namespace shmvisor
