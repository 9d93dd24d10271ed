// InheritedState: process state that we change, and that the command gets back as it was: the
// signal mask, the dispositions of SIGCHLD and of our own signal, resource limits, the subreaper
// flag. The command also gets new state: its process group, the environment variables that name its
// pid, and the signal that it gets when we die.
//
// Everything else a process inherits (standard streams, working directory, umask, the rest of the
// environment, open descriptors, the other dispositions) we leave alone.
//
// Thread rule: made before there are threads; restore() in the forked child.
#pragma once

#include <csignal>
#include <cstdint>

#include "supervisor/launch/inherited_limits.h"
#include "supervisor/launch/pid_variables.h"
#include "supervisor/launch/process_group.h"

namespace shmvisor {

/// What happens to the command when we die before it, by SIGKILL for instance.
enum class AtOurDeath : std::uint8_t {
  kKillCommand,   ///< by PR_SET_PDEATHSIG, prctl(2)
  kLeaveCommand,  ///< it gets the signal that we would have got at our parent's death, if any
};

class InheritedState {
 public:
  /// Saves the state, and blocks all signals, which are read from a signalfd, in this thread and in
  /// all later ones. Faults of our own still end us.
  explicit InheritedState(const ProcessGroup& group,
                          AtOurDeath at_our_death = AtOurDeath::kKillCommand);

  /// Raises our limits, see InheritedLimits.
  void raise_limits() const { limits_.raise(); }
  /// In the child, before its exec. Async-signal-safe.
  void restore() const;

  /// The signals that were blocked when we were started.
  [[nodiscard]] const sigset_t& mask() const { return mask_; }
  /// The blocked signals.
  [[nodiscard]] const sigset_t& watched() const { return watched_; }
  /// The descriptor that restore() needs open; -1 for none.
  [[nodiscard]] int needed_fd() const { return group_.terminal().fd(); }

 private:
  const ProcessGroup& group_;
  const InheritedLimits limits_;
  const PidVariables variables_;
  sigset_t mask_{};
  sigset_t watched_{};
  struct sigaction child_action_ {};
  struct sigaction kick_action_ {};
  int death_signal_ = 0;
  int subreaper_ = 0;
};

}  // namespace shmvisor
