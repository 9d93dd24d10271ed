// CommandWatch: what a serving process learns of the command: from its own children and signals
// (InitLoop), or from its keeper (KeptCommand).
//
// Thread rule: the main thread.
#pragma once

#include <functional>

namespace shmvisor {

class CommandWatch {
 public:
  CommandWatch() = default;
  CommandWatch(const CommandWatch&) = delete;
  CommandWatch& operator=(const CommandWatch&) = delete;
  virtual ~CommandWatch() = default;

  /// Whether it can learn anything. Precondition of all other members.
  [[nodiscard]] virtual bool valid() const = 0;
  /// The command has begun to end: no signal matters to it any more.
  virtual void command_ends() {}
  /// Turns the loop until the command has ended and, with `linger`, until `all_gone` answers true;
  /// it is asked after each turn of the loop. Answers the command's exit status as in
  /// exit_status.h.
  virtual int run(bool linger, const std::function<bool()>& all_gone) = 0;
  /// Turns the loop until the descriptor is readable, or the command has ended. Before run().
  virtual void run_until(int fd) = 0;
};

}  // namespace shmvisor
