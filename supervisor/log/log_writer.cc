#include "supervisor/log/log_writer.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "policy/base/mutex.h"
#include "supervisor/kernel/poll_files.h"
#include "supervisor/kernel/thread.h"

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;
/// None: for as long as it takes.
using Deadline = std::optional<Clock::time_point>;

constexpr std::size_t kStackBytes = std::size_t{64} * 1024;
/// Where it cannot be waited for.
constexpr std::chrono::milliseconds kBeforeTryingAgain(5);
/// Of a buffer, between two bursts of lines.
constexpr std::size_t kKeptBytes = 4096;

/// False where it is not ready for a write by then.
bool wait_until_ready(int fd, const Deadline& deadline) {
  std::optional<std::chrono::nanoseconds> left;
  if (deadline) left = *deadline - Clock::now();
  pollfd waiting{fd, POLLOUT, 0};
  return poll_files({&waiting, 1}, left) > 0;
}

/// False where no more can be written, or not by then.
bool write_part(int fd, std::string_view part, const Deadline& deadline) {
  HeldLocks::assert_may_wait();
  while (!part.empty()) {
    if (deadline && !wait_until_ready(fd, deadline)) return false;
    const ssize_t written = ::write(fd, part.data(), part.size());
    if (written >= 0) {
      part.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      if (!wait_until_ready(fd, deadline)) std::this_thread::sleep_for(kBeforeTryingAgain);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

/// As many whole lines as are written as one; one line where it is longer.
std::string_view first_part(std::string_view lines) {
  if (lines.size() <= PIPE_BUF) return lines;
  std::size_t end = lines.rfind('\n', PIPE_BUF - 1);
  if (end == std::string_view::npos) end = lines.find('\n');
  return end == std::string_view::npos ? lines : lines.substr(0, end + 1);
}

void write_lines(int fd, std::string_view lines, const Deadline& deadline) {
  while (!lines.empty()) {
    const std::string_view part = first_part(lines);
    if (!write_part(fd, part, deadline)) return;
    lines.remove_prefix(part.size());
  }
}

}  // namespace

struct LogWriter::State : std::enable_shared_from_this<State> {
  State(int descriptor, std::size_t most) : fd(descriptor), most_bytes(most) {}

  const int fd;
  const std::size_t most_bytes;
  const uid_t user = ::geteuid();
  Mutex mutex;
  Condition came;
  Condition written;
  std::string queued GUARDED_BY(mutex);
  std::string writing;  ///< of the writing thread
  std::uint64_t lost GUARDED_BY(mutex) = 0;
  std::uint64_t written_out GUARDED_BY(mutex) = 0;  ///< how often what was queued has been written
  bool may_have_thread GUARDED_BY(mutex) = true;
  bool has_thread GUARDED_BY(mutex) = false;
  bool busy GUARDED_BY(mutex) = false;  ///< a thread writes
  bool ending GUARDED_BY(mutex) = false;

  [[nodiscard]] bool any() const REQUIRES(mutex) { return !queued.empty() || lost != 0; }
  bool start() REQUIRES(mutex);
  /// Releases the mutex meanwhile. Precondition: no thread is busy.
  void write_out(const Deadline& deadline) REQUIRES(mutex);

  void work() noexcept;
};

bool LogWriter::State::start() {
  if (has_thread) return true;
  if (!may_have_thread) return false;
  // A thread has the identity of the one that made it. One that borrowed another's for a moment
  // makes none that stays: whose it is may send it signals.
  if (::geteuid() != user) return false;
  auto* const self = new (std::nothrow) std::shared_ptr<State>(shared_from_this());
  if (self == nullptr) return false;
  const auto entry = [](void* made) -> void* {
    const std::unique_ptr<std::shared_ptr<State>> state(static_cast<std::shared_ptr<State>*>(made));
    (*state)->work();
    return nullptr;
  };
  has_thread = start_detached(entry, self, kStackBytes).ok();
  if (!has_thread) delete self;
  return has_thread;
}

void LogWriter::State::work() noexcept {
  const MutexLock lock(mutex);
  for (;;) {
    while (!ending && (!any() || busy)) came.wait(mutex);
    if (!any()) return;
    write_out(std::nullopt);
  }
}

void LogWriter::State::write_out(const Deadline& deadline) {
  busy = true;
  writing.swap(queued);
  const std::uint64_t lost_then = std::exchange(lost, 0);
  mutex.unlock();
  write_lines(fd, writing, deadline);
  if (lost_then != 0) {
    std::array<char, 128> line{};
    std::snprintf(line.data(), line.size(),
                  "shmvisor[%d]: warning: %" PRIu64 " lines were lost: nobody took them in time\n",
                  ::getpid(), lost_then);
    write_lines(fd, line.data(), deadline);
  }
  mutex.lock();
  writing.clear();
  if (writing.capacity() > kKeptBytes) writing = std::string();
  busy = false;
  ++written_out;
  written.notify_all();
  came.notify_one();  // wakes the writing thread, where another one wrote
}

LogWriter::LogWriter(int fd, std::size_t most_bytes)
    : state_(std::make_shared<State>(fd, most_bytes)) {}

LogWriter::~LogWriter() {
  const MutexLock lock(state_->mutex);
  state_->ending = true;
  state_->came.notify_one();
}

void LogWriter::use_thread(bool use) noexcept {
  const MutexLock lock(state_->mutex);
  state_->may_have_thread = use;
}

void LogWriter::add(std::string_view line) noexcept {
  const MutexLock lock(state_->mutex);
  // Lines behind one that was lost are lost too, until there is room for all of them: their count
  // has one place.
  if (state_->lost != 0 || line.size() > state_->most_bytes - state_->queued.size()) {
    ++state_->lost;
  } else {
    try {
      state_->queued.append(line);
    } catch (const std::bad_alloc&) {
      ++state_->lost;
    }
  }
  if (state_->start()) state_->came.notify_one();
}

void LogWriter::lose_one() noexcept {
  const MutexLock lock(state_->mutex);
  ++state_->lost;
  if (state_->start()) state_->came.notify_one();
}

bool LogWriter::flush(std::chrono::milliseconds bound) noexcept {
  State& state = *state_;
  const auto deadline = Clock::now() + bound;
  const MutexLock lock(state.mutex);
  const std::uint64_t enough = state.written_out + (state.busy ? 1 : 0) + (state.any() ? 1 : 0);
  if (state.written_out >= enough) return true;
  if (state.start()) {
    state.came.notify_one();
    while (state.written_out < enough && state.written.wait_until(state.mutex, deadline)) {
    }
    return state.written_out >= enough;
  }
  while (state.busy && state.written.wait_until(state.mutex, deadline)) {
  }
  if (state.busy) return false;
  if (state.written_out < enough) state.write_out(deadline);
  return state.written_out >= enough && Clock::now() < deadline;
}

}  // namespace shmvisor
