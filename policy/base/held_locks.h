// HeldLocks: which locks the calling thread holds, to prove the rule that no lock is held while
// anything waits for a process that is not ours.
//
// Debug builds record each lock of policy/base/mutex.h and emulation/ipc/rw_lock.h, with the place
// in the code that took it. Whatever may wait for such a process begins with
// HeldLocks::assert_may_wait(), which ends this process where a lock is held, and names the places
// of both. In other builds nothing is recorded, and nothing here costs anything.
//
// What waits (all seen to): ptrace(2) and kcmp(2) for the end of an execve(2), and so opening
// /proc/PID/maps or mem, process_vm_readv(2), pidfd_getfd(2); reading them for the memory map's
// lock; waitid(2); SECCOMP_IOCTL_NOTIF_ADDFD for a frozen caller; open(2) for a lease or for
// fanotify; a path in another mount namespace for its file system; a socket or terminal that nobody
// empties. A condition is waited for with no other lock held than its own.
//
// Thread rule: each thread has a record of its own.
#pragma once

#ifndef NDEBUG
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#endif

namespace shmvisor {

#ifdef NDEBUG

/// Nothing but a type in these builds.
struct CodePlace {
  static constexpr CodePlace current() { return {}; }
};

class HeldLocks {
 public:
  static void add(const void* /*lock*/, CodePlace /*where*/) {}
  static void remove(const void* /*lock*/) {}
  static void assert_may_wait(const void* /*but_for*/ = nullptr,
                              CodePlace /*where*/ = CodePlace::current()) {}
};

#else

/// As std::source_location, which clang 14 does not have with this library.
struct CodePlace {
  const char* file;
  unsigned line;
  /// As a default argument: where in the code the caller is.
  static constexpr CodePlace current(const char* file = __builtin_FILE(),
                                     unsigned line = __builtin_LINE()) {
    return {file, line};
  }
};

class HeldLocks {
 public:
  static void add(const void* lock, const CodePlace& where) {
    if (t_record.count < kMost) t_record.locks.at(t_record.count) = {lock, where};
    ++t_record.count;
  }
  static void remove(const void* lock) {
    Record& record = t_record;
    if (record.count > kMost) {  // which one is unknown
      --record.count;
      return;
    }
    for (std::size_t at = record.count; at > 0; --at) {
      if (record.locks.at(at - 1).lock != lock) continue;
      for (; at < record.count; ++at) record.locks.at(at - 1) = record.locks.at(at);
      --record.count;
      return;
    }
    std::fprintf(stderr, "a lock is let go by a thread that does not hold it\n");
    std::abort();
  }
  /// Precondition: the calling thread holds no lock, `but_for` that of a condition that it is about
  /// to wait for.
  static void assert_may_wait(const void* but_for = nullptr,
                              const CodePlace& where = CodePlace::current()) {
    const Record& record = t_record;
    for (std::size_t at = 0; at < record.count; ++at) {
      const Lock& held = record.locks.at(at < kMost ? at : kMost - 1);
      if (held.lock == but_for) continue;
      std::fprintf(stderr, "%s:%u: waits, with a lock held that %s:%u took\n", where.file,
                   where.line, held.where.file, held.where.line);
      std::abort();
    }
  }

 private:
  static constexpr std::size_t kMost = 16;
  struct Lock {
    const void* lock;
    CodePlace where;
  };
  struct Record {
    std::array<Lock, kMost> locks;
    std::size_t count;
  };
  static inline constinit thread_local Record t_record{};
};

#endif

}  // namespace shmvisor
