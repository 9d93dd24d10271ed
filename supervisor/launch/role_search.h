// RoleSearch: decides whether a run joins another shmvisor or has a registry of its own, perhaps
// for others to join.
//
// With --join-or-serve several runs may look at the same time: of those that find no server one
// gets the socket, and the others find that server. A server may also end at any moment. No run
// serves while a process of an earlier server is left (RunLock), nor without permission to open the
// lock file.
//
// Errors: a sentence for the user. Ownership: borrows the options. Thread rule: the main thread.
#pragma once

#include <optional>
#include <string>

#include "policy/base/result.h"
#include "supervisor/join/join_connection.h"
#include "supervisor/join/join_socket.h"
#include "supervisor/join/run_lock.h"
#include "supervisor/launch/command.h"
#include "supervisor/launch/run.h"

namespace shmvisor {

struct Role {
  std::optional<JoinConnection> server;
  std::optional<JoinSocket> socket;
};

class RoleSearch {
 public:
  static constexpr int kMostTries = 100;

  explicit RoleSearch(const RunOptions& options) : options_(options) {}

  /// While nothing has been started: signals that ask to end do end this process.
  Result<Role, Failure> first();
  /// Looks again, after the server has ended.
  Result<Role, Failure> again();
  /// Later servers see that processes forked from now on live.
  void bequeath_lock() const;

 private:
  /// Why not, otherwise.
  std::optional<Failure> open_lock();
  Result<Role, Failure> search();
  [[nodiscard]] std::string still_live() const;
  [[nodiscard]] std::string not_allowed() const;

  const RunOptions& options_;
  /// Set with --join-or-serve. Without a lock we may only join.
  std::optional<RunLock> lock_;
  bool lock_is_others_ = false;  ///< where there is no lock_: it is not that it cannot be made
};

}  // namespace shmvisor
