// Chores: what the main thread does beside being the command's init, and what tells that nobody is
// left whom it must stay for.
//
// Thread rule: the main thread.
#pragma once

#include <poll.h>

#include <vector>

namespace shmvisor {

class Chores {
 public:
  Chores() = default;
  Chores(const Chores&) = delete;
  Chores& operator=(const Chores&) = delete;
  virtual ~Chores() = default;

  /// What to wait for.
  virtual void append_waiting(std::vector<pollfd>& waiting) const = 0;
  /// After how long turn() is wanted all the same, in milliseconds; -1: not at all.
  [[nodiscard]] virtual int timeout_ms() const = 0;
  /// After every wait, whatever ended it.
  virtual void turn() = 0;
  [[nodiscard]] virtual bool all_gone() const = 0;
};

}  // namespace shmvisor
