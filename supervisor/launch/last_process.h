// LastProcess: tells, in an event loop, when the last process under a filter has ended.
//
// The kernel reports it at the filter's listener, by POLLHUP, also while other threads receive
// there.
//
// Ownership: borrows the loop, and the listener, which outlives this object. Thread rule: the main
// thread.
#pragma once

#include <functional>
#include <utility>

#include "supervisor/loop/event_loop.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

class LastProcess {
 public:
  /// `told`: called once, in the loop.
  LastProcess(
      EventLoop& loop, const Listener& listener, std::function<void()> told = [] {})
      : told_(std::move(told)), ended_(loop.watch(listener.fd(), 0, [this](short) {
          gone_ = true;
          told_();
          ended_.reset();
        })) {}
  LastProcess(const LastProcess&) = delete;
  LastProcess& operator=(const LastProcess&) = delete;

  [[nodiscard]] bool gone() const { return gone_; }

 private:
  bool gone_ = false;
  const std::function<void()> told_;
  EventLoop::Source ended_;
};

}  // namespace shmvisor
