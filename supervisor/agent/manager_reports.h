// ManagerReports: tells the service manager how far the agent is, and again while it does not read.
//
// Ownership: borrows the loop and the manager. Thread rule: the loop's thread, of the process that
// the manager started: it listens to no other one.
#pragma once

#include <chrono>

#include "supervisor/agent/service_manager.h"
#include "supervisor/loop/event_loop.h"

namespace shmvisor {

class ManagerReports {
 public:
  ManagerReports(EventLoop& loop, const ServiceManager& manager)
      : manager_(manager), ready_again_(loop.timer([this] { ready(); })) {}

  void ready() {
    if (manager_.notify("READY=1")) return;
    ready_again_.set(EventLoop::Clock::now() + std::chrono::milliseconds(100));
  }
  void stopping() {
    ready_again_.cancel();
    (void)manager_.notify("STOPPING=1");
  }

 private:
  const ServiceManager& manager_;
  EventLoop::Timer ready_again_;
};

}  // namespace shmvisor
