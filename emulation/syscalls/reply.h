// Reply: what a call answers, and what it changes once the caller has that answer.
//
// A change to the registry (a segment created, removed, given other rights) is prepared under the
// registry's exclusive lock and carried out after the answer was delivered, still under that lock:
// nothing is committed that the caller did not get, and nobody sees the moment between. A Reply
// that is dropped without commit() changes nothing.
//
// A caller may be left to find its result itself (MappingSpace::map()). What its call did is then
// done at once, and taken back if it calls again because it did not succeed.
//
// What the change holds, the memory of a removed segment above all, is let go of behind that lock,
// but under SegmentFiles::freeing() where that was locked before it.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "emulation/ipc/rw_lock.h"
#include "policy/base/result.h"

namespace shmvisor {

class [[nodiscard]] Reply {
 public:
  /// A result that changes nothing.
  Reply(std::int64_t value) : value_(value) {}                  // NOLINT: implicit
  Reply(Errno error) : value_(-std::int64_t{error.value()}) {}  // NOLINT: implicit
  Reply(std::int64_t value, std::unique_lock<RwLock> lock, std::function<void()> change,
        std::shared_lock<std::shared_mutex> freeing = {})
      : value_(value),
        freeing_(std::move(freeing)),
        change_(std::move(change)),
        lock_(std::move(lock)) {}

  /// The result is the caller's to find. `take_back` undoes what was done as if it had one.
  static Reply left_to_caller(std::function<void()> take_back) {
    Reply reply(0);
    reply.take_back_ = std::move(take_back);
    return reply;
  }

  /// The system call's result: a value, or an errno negated. Of no meaning when it is left.
  [[nodiscard]] std::int64_t value() const { return value_; }

  /// Whether commit() does anything: then the caller must have the answer exactly when it is
  /// called.
  [[nodiscard]] bool changes() const { return change_ != nullptr; }

  /// What is to be done if the same thread calls again to say that it did not find its result.
  /// Empty where the result was not left to it.
  [[nodiscard]] std::function<void()> undo() { return std::move(take_back_); }

  /// To be called once the caller has the answer.
  void commit() {
    if (change_) change_();
    if (lock_.owns_lock()) lock_.unlock();
    change_ = nullptr;
    if (freeing_.owns_lock()) freeing_.unlock();
  }

 private:
  std::int64_t value_;
  // The last one goes first, here as in commit().
  std::shared_lock<std::shared_mutex> freeing_;
  std::function<void()> change_;
  std::unique_lock<RwLock> lock_;
  std::function<void()> take_back_;
};

}  // namespace shmvisor
