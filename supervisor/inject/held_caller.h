// HeldCaller: a caller that is held in a ptrace-stop and gets the answer to its call there.
//
// Shared by what works on the caller and the call that is to be answered: it does not move, and the
// thread is let go by the answer.
//
// Thread rule: the thread that received the call.
#pragma once

#include <cstdint>
#include <utility>

#include "supervisor/inject/stopped_thread.h"
#include "supervisor/notify/pending_call.h"

namespace shmvisor {

class HeldCaller : public AnswerRoute {
 public:
  explicit HeldCaller(StoppedThread thread) : thread_(std::move(thread)) {}

  [[nodiscard]] StoppedThread& thread() { return thread_; }
  bool deliver(std::int64_t result) override {
    thread_.set_result(result);
    return thread_.release();
  }

 private:
  StoppedThread thread_;
};

}  // namespace shmvisor
