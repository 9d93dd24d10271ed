// ForeignTracer: a process that traces another one, as gdb and strace do, until it is let go.
#pragma once

#include <sys/ptrace.h>

#include "supervisor/check/child.h"
#include "tests/supervised_child.h"

namespace shmvisor {

class ForeignTracer {
 public:
  explicit ForeignTracer(pid_t traced)
      : tracer_([this, traced] {
          if (::ptrace(PTRACE_SEIZE, traced, 0, 0) != 0) return 1;
          tracing_.open();
          return done_.pass() ? 0 : 2;
        }) {}

  /// Whether it does trace, in good time.
  bool traces() { return tracing_.pass(); }
  /// The end of the trace; its process's exit status, 0 where all went well.
  int end() {
    done_.open();
    return exit_status_of(tracer_);
  }

 private:
  Gate tracing_;
  Gate done_;
  Child tracer_;
};

}  // namespace shmvisor
