// Reply: what a call answers, and what it changes once the caller has that answer.
//
// A change to the registry (a segment created, removed, given other rights) is prepared under the
// registry's exclusive lock and carried out after the answer was delivered, still under that lock:
// nothing is committed that the caller did not get, and nobody sees the moment between. A Reply
// that is dropped without commit() changes nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>

#include "emulation/ipc/rw_lock.h"
#include "policy/base/result.h"

namespace shmvisor {

class [[nodiscard]] Reply {
 public:
  /// A result that changes nothing.
  Reply(std::int64_t value) : value_(value) {}                  // NOLINT: implicit
  Reply(Errno error) : value_(-std::int64_t{error.value()}) {}  // NOLINT: implicit
  Reply(std::int64_t value, std::unique_lock<RwLock> lock, std::function<void()> change)
      : value_(value), lock_(std::move(lock)), change_(std::move(change)) {}

  /// The system call's result: a value, or an errno negated.
  [[nodiscard]] std::int64_t value() const { return value_; }

  /// Whether commit() does anything: then the caller must have the answer exactly when it is
  /// called.
  [[nodiscard]] bool changes() const { return change_ != nullptr; }

  /// To be called once the caller has the answer.
  void commit() {
    if (change_) std::exchange(change_, nullptr)();
    if (lock_.owns_lock()) lock_.unlock();
  }

 private:
  std::int64_t value_;
  std::unique_lock<RwLock> lock_;
  std::function<void()> change_;
};

}  // namespace shmvisor
