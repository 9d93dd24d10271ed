// Launched: a program that the benchmark started, with its three standard streams on pipes.
//
// It runs in an IPC namespace of its own (in a user namespace of its own too, where only that
// permits it), with kernel.shmmni raised as far as it goes, and dies with the benchmark. Whatever
// of it is left when it is let go is ended: by SIGTERM, so that it can remove its files, then
// SIGKILL. All waiting ends when the benchmark is interrupted (interruption.h).
//
// Errors: start() gives the errno of pipe(2) or fork(2); a program that cannot be run ends with 127
// and says so on its standard error. Thread rule: the thread that started it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

struct Finished {
  int exit_status = -1;  ///< the program's; 128+n for signal n; -1 where it had to be killed
  std::string output;
  std::string errors;

  [[nodiscard]] bool ok() const { return exit_status == 0; }
  /// One line that says what went wrong.
  [[nodiscard]] std::string complaint() const;
};

class Launched {
 public:
  static Result<Launched> start(const std::vector<std::string>& arguments);

  Launched(Launched&&) noexcept = default;
  Launched& operator=(Launched&&) = delete;
  Launched(const Launched&) = delete;
  Launched& operator=(const Launched&) = delete;
  ~Launched();

  [[nodiscard]] pid_t pid() const { return pid_.value; }
  [[nodiscard]] bool running() const;
  /// Whether that is the program itself or a descendant that was not left behind.
  [[nodiscard]] bool has_descendant(pid_t pid) const;
  /// Waits for the first line on its standard output. False where it ended, or took too long.
  bool wait_for_line(std::chrono::seconds bound);
  /// Ends its standard input and waits for its end.
  Finished finish(std::chrono::seconds bound);

 private:
  struct Pid {
    pid_t value = 0;
    explicit Pid(pid_t pid) : value(pid) {}
    Pid(Pid&& other) noexcept : value(std::exchange(other.value, 0)) {}
  };

  Launched(pid_t pid, UniqueFd input, UniqueFd output, UniqueFd errors)
      : pid_(pid),
        input_(std::move(input)),
        output_(std::move(output)),
        errors_(std::move(errors)) {}
  bool read_some(std::chrono::steady_clock::time_point deadline);
  void end();
  void let_go();

  Pid pid_;
  UniqueFd input_;
  UniqueFd output_;
  UniqueFd errors_;
  Finished finished_;
};

/// Runs it to its end.
Finished run_to_end(const std::vector<std::string>& arguments,
                    std::chrono::seconds bound = std::chrono::seconds(60));

/// Makes orphans of what we launch our own children, so that none can be left behind.
void adopt_orphans();
/// Ends and reaps all children but those that a Launched holds.
void end_strays();

}  // namespace shmvisor
