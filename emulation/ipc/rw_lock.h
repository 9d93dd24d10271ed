// RwLock: a reader-writer lock in which a waiting writer goes first. The lock of a Registry.
//
// std::shared_mutex prefers readers here (glibc's default), so that a flood of IPC_STAT calls could
// keep a shmget waiting for ever.
//
// Rule: a thread that holds an RwLock never waits for a process that is not ours: it attaches to
// none, waits for no stop, copies from or to no memory of another process, and opens no file that
// others can watch or lease. Debug builds count the locks that each thread holds; whatever may wait
// begins with assert_may_wait().
#pragma once

#include <pthread.h>

#include <cassert>

namespace shmvisor {

/// Meets the SharedMutex requirements as far as std::unique_lock and std::shared_lock need them.
/// Not recursive, for readers neither.
class RwLock {
 public:
  RwLock() {
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&lock_, &attributes);
    pthread_rwlockattr_destroy(&attributes);
  }
  RwLock(const RwLock&) = delete;
  RwLock& operator=(const RwLock&) = delete;
  ~RwLock() { pthread_rwlock_destroy(&lock_); }

  void lock() {
    pthread_rwlock_wrlock(&lock_);
    count(1);
  }
  void unlock() {
    count(-1);
    pthread_rwlock_unlock(&lock_);
  }
  void lock_shared() {
    pthread_rwlock_rdlock(&lock_);
    count(1);
  }
  void unlock_shared() {
    count(-1);
    pthread_rwlock_unlock(&lock_);
  }

  /// Precondition, checked in debug builds: the calling thread holds no RwLock.
  static void assert_may_wait() {
#ifndef NDEBUG
    assert(t_held == 0 && "no lock is held while we wait for a process that is not ours");
#endif
  }

 private:
  static void count([[maybe_unused]] int change) {
#ifndef NDEBUG
    t_held += change;
#endif
  }

#ifndef NDEBUG
  static inline thread_local int t_held = 0;
#endif
  pthread_rwlock_t lock_;
};

}  // namespace shmvisor
