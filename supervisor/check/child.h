// Child processes for probes: a probe runs in one, or tries something on one.
//
// Each is killed when the thread that started it ends, and that thread reaps it, so that a check
// leaves no process behind. Every wait ends after kPatience at the latest.
// Thread rule: as every fork that goes on to allocate, from a program's only thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/check/probe.h"

namespace shmvisor {

/// How long a probe waits for what the kernel does at once: only a stuck machine takes as long.
inline constexpr std::chrono::milliseconds kPatience{10000};

/// Waits until `fd` is readable; ETIMEDOUT when it is not in time.
Result<void> wait_readable(int fd);

/// Runs `probe` in a forked child of its own, so that it can change what cannot be changed back.
Finding in_throwaway_child(const std::function<Finding()>& probe);

/// A forked child that runs a function; killed and reaped by the destructor at the latest.
/// Errors: fork's, by started(). Ownership: the process.
class Child {
 public:
  /// The child ends with the exit status that `body` returns.
  explicit Child(const std::function<int()>& body);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] Result<void> started() const;
  [[nodiscard]] pid_t pid() const { return pid_; }

  /// Waits for the next change of state, with waitpid's `options`; the status, or ETIMEDOUT. After
  /// an exit the process is reaped, and further calls answer ECHILD.
  Result<int> wait(int options);

 private:
  pid_t pid_ = -1;
  Errno fork_error_{0};
};

/// A child that does nothing, with a copy of our memory, until it is destroyed.
class IdleChild : public Child {
 public:
  IdleChild();
};

}  // namespace shmvisor
