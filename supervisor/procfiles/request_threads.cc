#define FUSE_USE_VERSION 314  // before the first header of libfuse

#include "supervisor/procfiles/request_threads.h"

#include <fuse_lowlevel.h>
#include <malloc.h>
#include <pthread.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = 256UL * 1024;
/// A buffer that a request has filled further is given back, so that long writes leave nothing.
constexpr int kMostBytesKept = 64 * 1024;
/// When there is no memory to read a request into.
constexpr std::chrono::milliseconds kBeforeReadingAgain(1);

}  // namespace

Result<void> RequestThreads::start(fuse_session* session) {
  session_ = session;
  // Buffers of a MiB shall go back to the kernel when they are freed: otherwise the first that is
  // freed makes malloc(3) keep the others for itself (mallopt(3)).
  ::mallopt(M_MMAP_THRESHOLD, 2 * kMostBytesKept);
  const std::lock_guard lock(mutex_);
  if (!add_thread()) return Errno(EAGAIN);
  return {};
}

bool RequestThreads::running() const {
  const std::lock_guard lock(mutex_);
  return threads_ != 0;
}

bool RequestThreads::wait_for_end() {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, std::chrono::seconds(1), [this] { return threads_ == 0; });
}

bool RequestThreads::add_thread() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  const auto entry = [](void* self) -> void* {
    static_cast<RequestThreads*>(self)->run();
    return nullptr;
  };
  pthread_t thread{};
  const bool added = pthread_create(&thread, &attributes, entry, this) == 0;
  pthread_attr_destroy(&attributes);
  if (!added) return false;
  ++threads_;
  ++waiting_;
  return true;
}

void RequestThreads::run() noexcept {
  fuse_buf buffer{};
  bool surplus = false;
  while (!surplus && fuse_session_exited(session_) == 0) {
    const int got = fuse_session_receive_buf(session_, &buffer);
    if (got == 0) break;  // the last mount has gone, and fuse_session_exited() says so too
    if (got < 0) {
      // What is wrong is one request, which a process may have made so, or want of memory; never a
      // reason to leave all others waiting.
      if (got != -EINTR && got != -EAGAIN) {
        spdlog::debug("cannot read a request: errno {}", -got);
        std::this_thread::sleep_for(kBeforeReadingAgain);
      }
      continue;
    }
    {
      const std::lock_guard lock(mutex_);
      --waiting_;
      // Where none can be had, the next request waits for this one.
      if (waiting_ == 0 && threads_ < kMostThreads) (void)add_thread();
    }
    fuse_session_process_buf(session_, &buffer);
    if (got > kMostBytesKept) {
      std::free(buffer.mem);  // NOLINT: libfuse's malloc(3)
      buffer = {};
    }
    const std::lock_guard lock(mutex_);
    // Who leaves does not count as waiting from here on, or others would leave on the strength of
    // it.
    surplus = waiting_ > 1;
    if (!surplus) ++waiting_;
  }
  std::free(buffer.mem);  // NOLINT: libfuse's malloc(3)
  const std::lock_guard lock(mutex_);
  if (!surplus) --waiting_;
  --threads_;
  ended_.notify_all();
}

}  // namespace shmvisor
