// RwLock: a reader-writer lock in which a waiting writer goes first.
//
// std::shared_mutex prefers readers here (glibc's default), so that a flood of IPC_STAT calls could
// keep a shmget waiting for ever.
#pragma once

#include <pthread.h>

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

  void lock() { pthread_rwlock_wrlock(&lock_); }
  void unlock() { pthread_rwlock_unlock(&lock_); }
  void lock_shared() { pthread_rwlock_rdlock(&lock_); }
  void unlock_shared() { pthread_rwlock_unlock(&lock_); }

 private:
  pthread_rwlock_t lock_;
};

}  // namespace shmvisor
