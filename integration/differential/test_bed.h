// TestBed: where sequences are executed: on the kernel's own shm, and under shmvisor.
//
// Precondition: the calling process is the first of a PID namespace of its own, with its own /proc:
// whatever is left of a run is killed. Each run has an IPC namespace of its own; under shmvisor its
// kernel.shmmni is 0, so that a call that reaches the kernel fails.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "integration/differential/operation.h"
#include "integration/differential/transcript.h"

namespace shmvisor {

class TestBed {
 public:
  /// So many `users` from the first are used by nobody else on the machine. Each run takes others:
  /// the kernel ends IPC namespaces in its own time, and until then its users pay for locked pages.
  TestBed(std::string interpreter, std::string shmvisor, uid_t first_user, uid_t users)
      : interpreter_(std::move(interpreter)),
        shmvisor_(std::move(shmvisor)),
        first_user_(first_user),
        users_(users) {}

  struct Run {
    std::string text;  ///< the transcript
    std::string log;   ///< standard error
    int wait_status = 0;
    bool timed_out = false;
    std::chrono::nanoseconds took{0};

    [[nodiscard]] Transcript transcript() const { return Transcript::parse(text); }
    /// The transcript and, where something went wrong beside it, what.
    [[nodiscard]] std::string complaint() const;
  };

  [[nodiscard]] Run natively(const Sequence& sequence);
  [[nodiscard]] Run supervised(const Sequence& sequence);

 private:
  [[nodiscard]] std::string users_of_next_run();
  [[nodiscard]] Run run(std::vector<std::string> command, const Sequence& sequence,
                        bool kernel_shm) const;

  const std::string interpreter_;
  const std::string shmvisor_;
  const uid_t first_user_;
  const uid_t users_;
  uid_t next_user_ = 0;
};

}  // namespace shmvisor
