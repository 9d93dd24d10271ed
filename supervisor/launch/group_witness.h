// GroupWitness: tells which signals were sent to our whole process group.
//
// A signal for the group (kill(2) with a negative pid or 0, as tini -g, dumb-init, timeout(1) and
// shells send it) reaches the command by itself, and would come twice if it were passed on; one for
// shmvisor alone has to be passed on. siginfo does not tell them apart. So a process of ours stands
// in the same group, and nobody signals that one by its pid: what it gets was for all.
//
// The witness blocks all signals and sits in a read until it is asked; it shares our memory, has no
// descriptors but its socket, and ends when we do. It sends no SIGCHLD, and wait(2) without __WALL
// does not see it.
//
// The command may stop or kill it, and so delay us; a witness is replaced a few times at most.
//
// Errors: where no witness can be had nothing counts as sent to the group. Ownership: the process.
// Thread rule: one thread, which must not end before the witness.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include "policy/base/unique_fd.h"

namespace shmvisor {

class GroupWitness {
 public:
  /// How often each signal came.
  using Counts = std::array<std::uint8_t, 65>;

  GroupWitness() { start(); }
  GroupWitness(const GroupWitness&) = delete;
  GroupWitness& operator=(const GroupWitness&) = delete;
  ~GroupWitness() { end(); }

  /// What the group got since the last question. Whatever for the group had reached us by then is
  /// counted, and whatever is counted has reached us by now.
  Counts ask();

 private:
  void start();
  void end();

  pid_t pid_ = -1;
  UniqueFd socket_;
  int failures_ = 0;
};

}  // namespace shmvisor
