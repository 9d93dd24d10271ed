#define FUSE_USE_VERSION 314  // before the first header of libfuse

#include "supervisor/procfiles/request_threads.h"

#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <malloc.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <thread>
#include <utility>

#include "supervisor/kernel/thread.h"

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = 256UL * 1024;
/// A buffer that a request has filled further is given back, so that long writes leave nothing.
constexpr int kMostBytesKept = 64 * 1024;
/// When there is no memory to read a request into.
constexpr std::chrono::milliseconds kBeforeReadingAgain(1);

}  // namespace

Result<void> RequestThreads::start(fuse_session* session, PayerOf payer_of,
                                   FuseBeginning* beginning) {
  session_ = session;
  beginning_ = beginning;
  payer_of_ = std::move(payer_of);
  // Buffers of a MiB shall go back to the kernel when they are freed: otherwise the first that is
  // freed makes malloc(3) keep the others for itself (mallopt(3)).
  ::mallopt(M_MMAP_THRESHOLD, 2 * kMostBytesKept);
  const MutexLock lock(mutex_);
  if (!add_thread()) return Errno(EAGAIN);
  return {};
}

bool RequestThreads::running() const {
  const MutexLock lock(mutex_);
  return threads_ != 0;
}

bool RequestThreads::wait_for_end(std::chrono::milliseconds bound) {
  const auto deadline = std::chrono::steady_clock::now() + bound;
  const MutexLock lock(mutex_);
  while (threads_ != 0 && ended_.wait_until(mutex_, deadline)) {
  }
  return threads_ == 0;
}

bool RequestThreads::add_thread() {
  const auto entry = [](void* self) -> void* {
    static_cast<RequestThreads*>(self)->run();
    return nullptr;
  };
  if (!start_detached(entry, this, kStackBytes)) return false;
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
    surplus = !serve(buffer, static_cast<std::size_t>(got));
    if (got > kMostBytesKept) {
      std::free(buffer.mem);  // NOLINT: libfuse's malloc(3)
      buffer = {};
    }
  }
  std::free(buffer.mem);  // NOLINT: libfuse's malloc(3)
  const MutexLock lock(mutex_);
  if (!surplus) --waiting_;
  --threads_;
  ended_.notify_all();
}

bool RequestThreads::serve(fuse_buf& received, std::size_t bytes) noexcept {
  if (!queue(received, bytes)) {
    fuse_session_process_buf(session_, &received);
    return true;
  }
  MutexLock lock(mutex_);
  auto begun = queue_.begin();
  if (begun.empty()) return true;  // a thread that serves comes to it
  --waiting_;
  // Where none can be had, the next request waits for this one.
  if (waiting_ == 0 && threads_ < kMostThreads) (void)add_thread();
  while (!begun.empty()) {
    lock.unlock();
    fuse_buf request{};
    request.mem = begun.front().bytes.data();
    request.size = begun.front().bytes.size();
    fuse_session_process_buf(session_, &request);
    lock.lock();
    queue_.end(begun);
    begun = queue_.begin();
  }
  // Who leaves does not count as waiting from here on, or others would leave on the strength of
  // it.
  const bool surplus = waiting_ > 1;
  if (!surplus) ++waiting_;
  return !surplus;
}

void RequestThreads::keep_beginning(const char* bytes, std::size_t size) noexcept {
  if (beginning_ == nullptr || size > FuseBeginning::kMostBytes) return;
  std::memcpy(beginning_->bytes.data(), bytes, size);
  beginning_->size_bytes.store(static_cast<std::uint32_t>(size));
}

bool RequestThreads::queue(const fuse_buf& received, std::size_t bytes) noexcept {
  fuse_in_header header{};
  if (bytes < sizeof(header)) return false;
  const char* const begin = static_cast<const char*>(received.mem);
  std::memcpy(&header, begin, sizeof(header));
  RequestQueue::Request request;
  switch (header.opcode) {
    case FUSE_INIT:
      keep_beginning(begin, bytes);
      return false;
    case FUSE_DESTROY:
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
    case FUSE_RELEASE:
      return false;  // they take no time, and free what others may want
    case FUSE_READ:
    case FUSE_WRITE:
      // Both begin with it.
      static_assert(offsetof(fuse_read_in, fh) == 0 && offsetof(fuse_write_in, fh) == 0);
      if (bytes < sizeof(header) + sizeof(request.handle)) return false;
      std::memcpy(&request.handle, begin + sizeof(header), sizeof(request.handle));
      break;
    default:
      break;
  }
  try {
    request.bytes.assign(begin, begin + bytes);
    request.user = payer_of_(static_cast<pid_t>(header.pid));
    const MutexLock lock(mutex_);
    queue_.add(std::move(request));
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace shmvisor
