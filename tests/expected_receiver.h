// ExpectedReceiver: receives calls that are expected, in a thread, as a server would. Others are
// left unanswered.
#pragma once

#include <poll.h>

#include <atomic>
#include <thread>

#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

class ExpectedReceiver {
 public:
  ExpectedReceiver(Listener& listener, ExpectedCalls& expected)
      : thread_([this, &listener, &expected] {
          while (!done_) {
            pollfd waiting{listener.fd(), POLLIN, 0};
            if (::poll(&waiting, 1, 10) != 1 || (waiting.revents & POLLIN) == 0) continue;
            const auto notif = listener.receive();
            if (notif) claimed_ += expected.claim(*notif) ? 1 : 0;
          }
        }) {}
  ExpectedReceiver(const ExpectedReceiver&) = delete;
  ExpectedReceiver& operator=(const ExpectedReceiver&) = delete;
  ~ExpectedReceiver() { stop(); }

  /// How many there were; stops receiving.
  [[nodiscard]] int claimed() {
    stop();
    return claimed_;
  }

 private:
  void stop() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
  }

  std::atomic<bool> done_{false};
  int claimed_ = 0;  ///< the thread's until it has ended
  std::thread thread_;
};

}  // namespace shmvisor
