// RoleSearch: whose registry a run is to have: another shmvisor's, or its own, perhaps for others
// to join.
//
// With --join-or-serve several may look at the same time: of those who find nobody one gets the
// socket, and the others find that one. A server may also end at any moment. And nobody serves as
// long as a process of an earlier server's is left (RunLock), nor does anybody who may not open the
// lock, which would tell.
//
// Errors: a sentence for the user. Ownership: borrows the options. Thread rule: the main thread.
#pragma once

#include <optional>
#include <string>
#include <variant>

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
  std::variant<Role, Failure> first();
  /// Where the server has ended meanwhile.
  std::variant<Role, Failure> again();
  /// Processes that are forked from now on show to later servers that they live.
  void bequeath_lock() const;

 private:
  /// Why not, otherwise.
  std::optional<Failure> open_lock();
  std::variant<Role, Failure> search();
  [[nodiscard]] std::string still_live() const;
  [[nodiscard]] std::string not_allowed() const;

  const RunOptions& options_;
  /// With --join-or-serve. Without it there we may join only.
  std::optional<RunLock> lock_;
};

}  // namespace shmvisor
