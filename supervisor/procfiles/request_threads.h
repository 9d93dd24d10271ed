// RequestThreads: the threads that read a FUSE connection's requests and answer them.
//
// One thread waits in a read of /dev/fuse, and puts each request into a RequestQueue. If the queue
// lets a request begin while no other thread waits, another thread starts to read first. So there
// is always a reading thread. A request that takes long (counting attaches, freeing a removed
// segment) delays others only where kMostAtOnce are under way, of several users. Two idle threads
// stay.
//
// No exception leaves a thread: a request without the memory that it needs fails, see
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
#include "supervisor/keeper/keeper_page.h"
#include "supervisor/procfiles/request_queue.h"

struct fuse_buf;
struct fuse_session;

namespace shmvisor {

class RequestThreads {
 public:
  static constexpr int kMostAtOnce = 8;
  /// The user charged for a thread's requests. `tid`: in our pid namespace; 0 for a thread outside.
  using PayerOf = std::function<uid_t(pid_t tid)>;

  RequestThreads() = default;
  RequestThreads(const RequestThreads&) = delete;
  RequestThreads& operator=(const RequestThreads&) = delete;

  /// `beginning`: where the kernel's first request is to be kept; null: nowhere. EAGAIN where no
  /// thread can be created.
  Result<void> start(fuse_session* session, PayerOf payer_of, FuseBeginning* beginning = nullptr);
  /// Whether the connection lives, or a thread that has not noticed its end.
  [[nodiscard]] bool running() const;
  /// Waits until running() is false. False where it is not in time.
  bool wait_for_end(std::chrono::milliseconds bound);

 private:
  static constexpr int kMostThreads = kMostAtOnce + 1;  ///< with the one that reads

  void run() noexcept;
  /// Handles the request just read, and queued ones as long as one may begin. False where there is
  /// a thread too many.
  bool serve(fuse_buf& received, std::size_t bytes) noexcept;
  /// Queues the request; false where it is to be answered at once, or there is no memory.
  bool queue(const fuse_buf& received, std::size_t bytes) noexcept;
  void keep_beginning(const char* bytes, std::size_t size) noexcept;
  bool add_thread() REQUIRES(mutex_);

  fuse_session* session_ = nullptr;
  PayerOf payer_of_;
  FuseBeginning* beginning_ = nullptr;
  mutable Mutex mutex_;
  RequestQueue queue_ GUARDED_BY(mutex_){kMostAtOnce};
  Condition ended_;
  int threads_ GUARDED_BY(mutex_) = 0;
  int waiting_ GUARDED_BY(mutex_) = 0;  ///< for a request, or about to
};

}  // namespace shmvisor
