// JoiningChores: for a shmvisor whose command's calls another one serves: it watches for that one's
// end, which is told once, and for the end of the last process under the command's filter.
//
// That shows at the listener, of which it has a copy and never receives. The copy goes when the
// server ends: nobody would answer, and calls are to fail rather than wait. Who is left cannot be
// told any more then, but for children.
//
// Ownership: borrows the connection. Thread rule: the main thread.
#pragma once

#include <optional>
#include <utility>

#include "policy/base/unique_fd.h"
#include "supervisor/join/join_connection.h"
#include "supervisor/launch/chores.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

class JoiningChores : public Chores {
 public:
  JoiningChores(const JoinConnection& server, UniqueFd listener)
      : server_(server), listener_(std::move(listener)) {}

  void append_waiting(std::vector<pollfd>& waiting) const override;
  [[nodiscard]] int timeout_ms() const override { return -1; }
  void turn() override;
  [[nodiscard]] bool all_gone() const override;

 private:
  const JoinConnection& server_;
  std::optional<Listener> listener_;  ///< while somebody serves
  bool ended_ = false;                ///< the last process has
};

}  // namespace shmvisor
