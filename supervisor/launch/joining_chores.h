// JoiningChores: for a shmvisor whose command's calls another one serves: it watches for that one's
// end, which is told once, and stays as long as it has children.
//
// Ownership: borrows the connection. Thread rule: the main thread.
#pragma once

#include "supervisor/join/join_connection.h"
#include "supervisor/launch/chores.h"

namespace shmvisor {

class JoiningChores : public Chores {
 public:
  explicit JoiningChores(const JoinConnection& server) : server_(server) {}

  void append_waiting(std::vector<pollfd>& waiting) const override;
  [[nodiscard]] int timeout_ms() const override { return -1; }
  void turn() override;
  [[nodiscard]] bool all_gone() const override;

 private:
  const JoinConnection& server_;
  bool served_ = true;
};

}  // namespace shmvisor
