// WorkerLinks: the sockets between the interpreter and its workers, and which thread each worker
// is.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "integration/differential/operation.h"
#include "integration/differential/protocol.h"

namespace shmvisor {

struct WorkerTask {
  pid_t process = 0;
  pid_t thread = 0;
};

struct WorkerAnswer {
  Response response;
  std::string text;
};

/// Thrown by the interpreter and its links, and caught there: a worker died or answers no more.
struct BrokenRun {
  std::string why;
};

class WorkerLinks {
 public:
  /// All sockets, for the workers that there may be.
  static void open();

  [[nodiscard]] WorkerTask& task_of(int worker) { return tasks_[static_cast<std::size_t>(worker)]; }
  [[nodiscard]] const WorkerTask& task_of(int worker) const {
    return tasks_[static_cast<std::size_t>(worker)];
  }

  void send(int worker, const Request& request) const;
  /// Waits for it, as long as the worker lives and for half a minute at most.
  [[nodiscard]] WorkerAnswer receive(int worker) const;
  [[nodiscard]] WorkerAnswer converse(int worker, const Request& request) const;

 private:
  [[nodiscard]] std::optional<WorkerAnswer> try_receive(int worker, int flags) const;
  void check_alive(int worker) const;
  /// A worker that mapped a segment over its own code faults there, but where it may execute and
  /// write the segment: zeros are instructions, and 4 GiB of them keep it busy for a minute.
  void check_code(int worker) const;

  std::array<WorkerTask, kMaxWorkers> tasks_{};
};

}  // namespace shmvisor
