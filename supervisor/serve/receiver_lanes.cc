// ReceiverPool, as far as its threads are in lanes.
#include <sched.h>

#include <utility>

#include "supervisor/serve/receiver_pool.h"

namespace shmvisor {

thread_local ReceiverPool::Worker* ReceiverPool::this_worker_ = nullptr;

void ReceiverPool::note_received(const seccomp_notif& call) {
  if (lanes_.count() < 2) return;
  demand_.received(static_cast<pid_t>(call.pid), [this] {
    return busy_in_lanes_.load(std::memory_order_relaxed) > 0 || lanes_.any_calls() ||
           listener_.call_waits();
  });
}

bool ReceiverPool::find_in_lane(Worker& self) {
  using Clock = LaneDemand::Clock;
  if (!enter_lane(self)) return false;
  receivers_.fetch_add(1);
  // As when one receives alone: a thread must be left that takes over.
  if (parked_ == calls_to_parked_) add_thread();
  mutex_.unlock();
  const auto end = Clock::now() + kAwake;
  bool found = look_in_lane(self);
  for (auto now = end - kAwake; !found && demand_.engaged() && now < end;) {
    const auto before = Clock::now();
    ::sched_yield();
    now = Clock::now();
    demand_.was_kept(now - before, now);
    found = look_in_lane(self);
    if (!found) found = (self.call = lanes_.steal(&self)).has_value();
  }
  if (!found) demand_.waited_in_vain();
  mutex_.lock();
  receivers_.fetch_sub(1);
  return found;
}

bool ReceiverPool::look_in_lane(Worker& self) {
  self.call = lanes_.next(&self);
  if (self.call) return true;
  // One asks at a time: two that saw the same call would both wait for it, and one in vain.
  if (receives_for_lanes_.test_and_set()) return false;
  std::optional<seccomp_notif> call;
  if (listener_.call_waits()) {
    lanes_.set_away(&self, true);
    if (const auto received = receive(self)) call = *received;
    lanes_.set_away(&self, false);
  }
  receives_for_lanes_.clear();
  if (!call) return false;
  note_received(*call);
  if (hand_over(*call, self)) return false;
  self.call = call;
  return true;
}

bool ReceiverPool::hand_over(const seccomp_notif& call, Worker& self) {
  if (!lanes_.hand_over(call, &self)) return false;
  watchdog_.ask();
  return true;
}

void ReceiverPool::prepare_lane(Worker& self) {
  self.busy_in_lane = true;
  busy_in_lanes_.fetch_add(1, std::memory_order_relaxed);
  if (lanes_.taken() < lanes_.count() && receivers_.load() == 0 && listener_.call_waits()) {
    const MutexLock lock(mutex_);
    call_receiver();
  }
}

void ReceiverPool::no_longer_busy(Worker& self) {
  if (std::exchange(self.busy_in_lane, false)) {
    busy_in_lanes_.fetch_sub(1, std::memory_order_relaxed);
  }
}

bool ReceiverPool::in_busy_lanes() const {
  return this_worker_ != nullptr && this_worker_->busy_in_lane && lanes_.taken() == lanes_.count();
}

bool ReceiverPool::enter_lane(Worker& self) {
  const auto lane = lanes_.enter(&self);
  if (lane && !self.pin) self.pin.emplace(*lane);
  return lane.has_value();
}

bool ReceiverPool::leave_lane(Worker& self) {
  self.pin.reset();
  return lanes_.leave(&self);
}

void ReceiverPool::free_lane() {
  if (this_worker_ == nullptr) return;
  no_longer_busy(*this_worker_);
  if (!leave_lane(*this_worker_)) return;
  const MutexLock lock(mutex_);
  call_for_left();
}

void ReceiverPool::call_for_left() {
  if (parked_ > calls_to_parked_ || add_thread()) {
    ++calls_to_parked_;
    called_.notify_one();
  } else {
    wake_receivers();
    watchdog_.ask();  // one that is just about to receive misses it
  }
}

bool ReceiverPool::look_after_lanes() {
  if (!lanes_.any_calls()) return false;
  if (lanes_.release_stuck()) {
    const MutexLock lock(mutex_);
    call_for_left();
  }
  return true;
}

}  // namespace shmvisor
