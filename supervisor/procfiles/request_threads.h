// RequestThreads: the threads that read a FUSE connection's requests and answer them.
//
// One waits in a read of /dev/fuse. When it has got a request and no other waits, another thread
// begins to: so a request that takes long (counting attaches, freeing a removed segment) keeps no
// other one waiting, up to kMostThreads. Of threads that have nothing to do two stay.
//
// No exception leaves a thread: what a request needs and cannot have it fails with, see
// ProcFileSystem.
//
// Ownership: borrows the session, until running() is false. Thread rule: start() and
// wait_for_end() from one thread.
#pragma once

#include <condition_variable>
#include <mutex>

#include "policy/base/result.h"

struct fuse_session;

namespace shmvisor {

class RequestThreads {
 public:
  static constexpr int kMostThreads = 8;

  RequestThreads() = default;
  RequestThreads(const RequestThreads&) = delete;
  RequestThreads& operator=(const RequestThreads&) = delete;

  /// EAGAIN where no thread can be had.
  Result<void> start(fuse_session* session);
  /// Whether the connection is there still, or a thread that has not noticed its end.
  [[nodiscard]] bool running() const;
  /// Waits until that has changed; false where it has not within a second.
  bool wait_for_end();

 private:
  void run() noexcept;
  /// mutex_ held.
  bool add_thread();

  fuse_session* session_ = nullptr;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  int threads_ = 0;
  int waiting_ = 0;  ///< for a request, or about to
};

}  // namespace shmvisor
