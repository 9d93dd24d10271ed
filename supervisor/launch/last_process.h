// LastProcess: tells, in an event loop, when the last process under a filter has ended.
//
// The kernel says so at the filter's listener, whoever receives there: POLLHUP.
//
// Ownership: borrows the loop and the listener, which goes later. Thread rule: the main thread.
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
