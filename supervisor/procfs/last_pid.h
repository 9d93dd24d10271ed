// LastPid: the number that was last given to a new process or thread of our pid namespace, read
// from /proc/loadavg in 1 µs. The listing of /proc takes 0.4 µs for each process of the machine.
//
// A number is given out in the middle of fork(2), before the new process can be seen, and numbers
// begin again behind the highest (alloc_pid() of kernel/pid.c). clone3(2) with set_tid, for which a
// process needs CAP_CHECKPOINT_RESTORE over our pid namespace, gives out a number that is not told.
//
// Nothing is told where /proc/loadavg is another file system's, as that of LXCFS: its answer would
// be awaited. Ownership: keeps the file open. Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <optional>

#include "policy/base/unique_fd.h"

namespace shmvisor {

class LastPid {
 public:
  LastPid();

  [[nodiscard]] std::optional<pid_t> read() const;

 private:
  UniqueFd loadavg_;
};

}  // namespace shmvisor
