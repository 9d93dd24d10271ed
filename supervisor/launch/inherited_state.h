// InheritedState: what the command must find as we found it: signal mask, the disposition of
// SIGCHLD and of our own signal, the soft limit of descriptors. And its process group, which it may
// be given anew.
//
// Everything else a process inherits (standard streams, working directory, umask, environment,
// open descriptors, the other dispositions) we leave alone.
//
// Thread rule: prepare() before there are threads; restore() in the forked child.
#pragma once

#include <sys/resource.h>

#include <csignal>

#include "supervisor/launch/process_group.h"

namespace shmvisor {

class InheritedState {
 public:
  /// Remembers, and blocks every signal that is to be read rather than taken, here and in all
  /// threads to come. Faults of our own are not blocked.
  explicit InheritedState(const ProcessGroup& group);

  /// Takes the hard limit of descriptors as the soft one: each segment costs one. After the fork,
  /// so that the command keeps its own.
  void raise_descriptor_limit() const;
  /// Async-signal-safe.
  void restore() const;

  /// The blocked signals.
  [[nodiscard]] const sigset_t& watched() const { return watched_; }

 private:
  const ProcessGroup& group_;
  sigset_t mask_{};
  sigset_t watched_{};
  struct sigaction child_action_ {};
  struct sigaction kick_action_ {};
  rlimit descriptors_{};
};

}  // namespace shmvisor
