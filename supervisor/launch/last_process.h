// LastProcess: tells, in an event loop, when the last process under a filter has ended.
//
// The kernel reports it at the filter's listener, by POLLHUP, also while other threads receive
// there.
//
// Ownership: borrows the loop, and the listener, which outlives this object. Thread rule: the main
// thread.
#pragma once

#include "supervisor/loop/event_loop.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

class LastProcess {
 public:
  LastProcess(EventLoop& loop, const Listener& listener)
      : ended_(loop.watch(listener.fd(), 0, [this](short) {
          gone_ = true;
          ended_.reset();
        })) {}
  LastProcess(const LastProcess&) = delete;
  LastProcess& operator=(const LastProcess&) = delete;

  [[nodiscard]] bool gone() const { return gone_; }

 private:
  bool gone_ = false;
  EventLoop::Source ended_;
};

}  // namespace shmvisor
