// RequestThreads: the threads that read a FUSE connection's requests and answer them.
//
// One waits in a read of /dev/fuse. What it gets comes into a RequestQueue, and if that lets one
// begin and no other thread waits, another thread begins to: so there is always one that reads, and
// a request that takes long (counting attaches, freeing a removed segment) keeps others waiting
// only where kMostAtOnce are under way, of several users. Of threads that have nothing to do two
// stay.
//
// No exception leaves a thread: what a request needs and cannot have it fails with, see
// ProcFileSystem.
//
// Ownership: borrows the session, until running() is false. Thread rule: start() and
// wait_for_end() from one thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>

#include "policy/base/mutex.h"
#include "policy/base/result.h"
#include "supervisor/procfiles/request_queue.h"

struct fuse_buf;
struct fuse_session;

namespace shmvisor {

class RequestThreads {
 public:
  static constexpr int kMostAtOnce = 8;
  /// Who pays for the requests of a thread, by its tid in our pid namespace; 0: of none there.
  using PayerOf = std::function<uid_t(pid_t tid)>;

  RequestThreads() = default;
  RequestThreads(const RequestThreads&) = delete;
  RequestThreads& operator=(const RequestThreads&) = delete;

  /// EAGAIN where no thread can be had.
  Result<void> start(fuse_session* session, PayerOf payer_of);
  /// Whether the connection is there still, or a thread that has not noticed its end.
  [[nodiscard]] bool running() const;
  /// Waits until that has changed; false where it has not in time.
  bool wait_for_end(std::chrono::milliseconds bound);

 private:
  static constexpr int kMostThreads = kMostAtOnce + 1;  ///< with the one that reads

  void run() noexcept;
  /// Sees to what has been read, and to what waits, as long as there is something that may begin.
  /// False where the thread is one too many.
  bool serve(fuse_buf& received, std::size_t bytes) noexcept;
  /// Into the queue; false where it is to be answered at once, or there is no memory.
  bool queue(const fuse_buf& received, std::size_t bytes) noexcept;
  bool add_thread() REQUIRES(mutex_);

  fuse_session* session_ = nullptr;
  PayerOf payer_of_;
  mutable Mutex mutex_;
  RequestQueue queue_ GUARDED_BY(mutex_){kMostAtOnce};
  Condition ended_;
  int threads_ GUARDED_BY(mutex_) = 0;
  int waiting_ GUARDED_BY(mutex_) = 0;  ///< for a request, or about to
};

}  // namespace shmvisor
