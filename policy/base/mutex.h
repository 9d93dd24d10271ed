// Mutex, MutexLock and Condition: those of std with clang's thread-safety annotations, which
// libstdc++'s have not.
//
// A Condition is waited for in a loop that looks at what is waited for: clang's analysis does not
// see that a predicate runs with the lock held.
//
// Debug builds record which locks each thread holds (HeldLocks): with one of them held, but for a
// MutexHeldInWaits, no thread waits for a process that is not ours, nor for a Condition of another.
//
// Thread rule: any thread; a Mutex is not recursive.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "policy/base/held_locks.h"
#include "policy/base/thread_safety.h"

namespace shmvisor {

class CAPABILITY("mutex") Mutex {
 public:
  void lock(CodePlace where = CodePlace::current()) ACQUIRE() {
    mutex_.lock();
    HeldLocks::add(this, where);
  }
  bool try_lock(CodePlace where = CodePlace::current()) TRY_ACQUIRE(true) {
    const bool taken = mutex_.try_lock();
    if (taken) HeldLocks::add(this, where);
    return taken;
  }
  void unlock() RELEASE() {
    HeldLocks::remove(this);
    mutex_.unlock();
  }

 private:
  friend class Condition;

  std::mutex mutex_;
};

/// One that is held on purpose while its owner waits for processes that are not ours. Only threads
/// that work for the same such process wait for it: a comment at each says why that is so.
class CAPABILITY("mutex") MutexHeldInWaits {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

/// Holds a Mutex while it lives, but from unlock() to lock().
class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex, CodePlace where = CodePlace::current()) ACQUIRE(mutex)
      : mutex_(mutex) {
    mutex_.lock(where);
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  ~MutexLock() RELEASE() {
    if (held_) mutex_.unlock();
  }

  void unlock() RELEASE() {
    held_ = false;
    mutex_.unlock();
  }
  void lock(CodePlace where = CodePlace::current()) ACQUIRE() {
    mutex_.lock(where);
    held_ = true;
  }

 private:
  Mutex& mutex_;
  bool held_ = true;
};

/// Holds a MutexHeldInWaits while it lives.
class SCOPED_CAPABILITY LockHeldInWaits {
 public:
  explicit LockHeldInWaits(MutexHeldInWaits& mutex) ACQUIRE(mutex) : mutex_(mutex) {
    mutex_.lock();
  }
  LockHeldInWaits(const LockHeldInWaits&) = delete;
  LockHeldInWaits& operator=(const LockHeldInWaits&) = delete;
  ~LockHeldInWaits() RELEASE() { mutex_.unlock(); }

 private:
  MutexHeldInWaits& mutex_;
};

/// The mutex is let go while it waits, and held again on return. May return for no reason.
/// Precondition of a wait, checked in debug builds: the calling thread holds no other.
class Condition {
 public:
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

  void wait(Mutex& mutex, CodePlace where = CodePlace::current()) REQUIRES(mutex) {
    HeldLocks::assert_may_wait(&mutex, where);
    Adopted lock(mutex.mutex_);
    condition_.wait(lock.lock);
  }
  /// False once `deadline` has come.
  template <typename Clock, typename Duration>
  bool wait_until(Mutex& mutex, const std::chrono::time_point<Clock, Duration>& deadline,
                  CodePlace where = CodePlace::current()) REQUIRES(mutex) {
    HeldLocks::assert_may_wait(&mutex, where);
    Adopted lock(mutex.mutex_);
    return condition_.wait_until(lock.lock, deadline) == std::cv_status::no_timeout;
  }

 private:
  /// The lock that the caller of wait() has, and has again afterwards.
  struct Adopted {
    explicit Adopted(std::mutex& mutex) : lock(mutex, std::adopt_lock) {}
    Adopted(const Adopted&) = delete;
    Adopted& operator=(const Adopted&) = delete;
    ~Adopted() { lock.release(); }

    std::unique_lock<std::mutex> lock;
  };

  std::condition_variable condition_;
};

}  // namespace shmvisor
