// AgentOrders: what an agent is told by signals, where the process that gets them and the one that
// serves may be two; and AgentSignals, which reads them.
//
// SIGTERM and SIGINT end the agent, SIGHUP has it read the configuration again, SIGUSR2 lets the
// program take over that is now where the running one was, where there is a keeper.
//
// Thread rule: the orders lie where both processes have them, and any thread may look at them; the
// signals are the main thread's.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <functional>

#include "policy/base/unique_fd.h"
#include "supervisor/loop/event_loop.h"

namespace shmvisor {

struct AgentOrders {
  static constexpr std::uint32_t kLayout = 1;  ///< KeptStore

  std::atomic<bool> end{false};
  std::atomic<std::uint32_t> reloads{0};  ///< how often it was asked for; set last
  std::atomic<pid_t> by_pid{0};           ///< who asked last
  std::atomic<uid_t> by_uid{0};
  std::atomic<std::uint32_t> reloads_begun{0};  ///< of these, by who serves
  /// What was read again is in force, so that it is no more what the agent was started with.
  std::atomic<bool> steered{false};
};

class AgentSignals {
 public:
  /// Before there are threads, which inherit the mask.
  static void block();

  /// `told`: there is a new order. `upgrade`: SIGUSR2.
  AgentSignals(EventLoop& loop, AgentOrders& orders, std::function<void()> told,
               std::function<void()> upgrade);

  [[nodiscard]] bool valid() const { return signals_.valid(); }

 private:
  void read();

  AgentOrders& orders_;
  const std::function<void()> told_;
  const std::function<void()> upgrade_;
  const UniqueFd signals_;
  const EventLoop::Source came_;
};

}  // namespace shmvisor
