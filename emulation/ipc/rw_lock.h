// RwLock: a reader-writer lock in which a waiting writer goes first. The lock of a Registry.
//
// std::shared_mutex prefers readers here (glibc's default), so that a flood of IPC_STAT calls could
// keep a shmget waiting for ever.
//
// Rule: a thread that holds an RwLock never waits for a process that is not ours: it attaches to
// none, waits for no stop, copies from or to no memory of another process, and opens no file that
// others can watch or lease. Debug builds prove it (HeldLocks).
#pragma once

#include <pthread.h>

#include "policy/base/held_locks.h"
#include "policy/base/thread_safety.h"

namespace shmvisor {

/// Not recursive, for readers neither. To be held by a ReadLock or a WriteLock.
class CAPABILITY("rw_lock") RwLock {
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

  void lock(CodePlace where = CodePlace::current()) ACQUIRE() {
    pthread_rwlock_wrlock(&lock_);
    HeldLocks::add(this, where);
  }
  void unlock() RELEASE() {
    HeldLocks::remove(this);
    pthread_rwlock_unlock(&lock_);
  }
  void lock_shared(CodePlace where = CodePlace::current()) ACQUIRE_SHARED() {
    pthread_rwlock_rdlock(&lock_);
    HeldLocks::add(this, where);
  }
  void unlock_shared() RELEASE_SHARED() {
    HeldLocks::remove(this);
    pthread_rwlock_unlock(&lock_);
  }

 private:
  pthread_rwlock_t lock_;
};

/// Holds an RwLock shared while it lives.
class SCOPED_CAPABILITY ReadLock {
 public:
  explicit ReadLock(RwLock& lock, CodePlace where = CodePlace::current()) ACQUIRE_SHARED(lock)
      : lock_(lock) {
    lock_.lock_shared(where);
  }
  ReadLock(const ReadLock&) = delete;
  ReadLock& operator=(const ReadLock&) = delete;
  ~ReadLock() RELEASE_GENERIC() { lock_.unlock_shared(); }

 private:
  RwLock& lock_;
};

/// Holds an RwLock exclusively while it lives.
class SCOPED_CAPABILITY WriteLock {
 public:
  explicit WriteLock(RwLock& lock, CodePlace where = CodePlace::current()) ACQUIRE(lock)
      : lock_(lock) {
    lock_.lock(where);
  }
  WriteLock(const WriteLock&) = delete;
  WriteLock& operator=(const WriteLock&) = delete;
  ~WriteLock() RELEASE() { lock_.unlock(); }

 private:
  RwLock& lock_;
};

}  // namespace shmvisor
