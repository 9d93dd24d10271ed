#include "supervisor/kernel/poll_files.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "policy/base/mutex.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBetweenLooks(5);

/// An epoll instance that nothing is in but while somebody asks.
class Reserve {
 public:
  static Reserve& of_process() {
    static Reserve* const reserve = new Reserve;  // NOLINT: never destroyed
    return *reserve;
  }

  [[nodiscard]] bool valid() const { return epoll_.valid(); }

  /// Those of `wanted` that are there; -1 with errno where they cannot be told.
  int look(int fd, short wanted) {
    const MutexLock lock(mutex_);
    epoll_event event{};
    event.events = static_cast<std::uint32_t>(static_cast<unsigned short>(wanted));
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      if (errno == EBADF) return POLLNVAL;
      // A regular file, which is always ready.
      if (errno == EPERM) return wanted & (POLLIN | POLLOUT);
      // fs.epoll.max_user_watches, which other processes of our user may have used up.
      if (errno == ENOSPC) errno = ENOMEM;
      return -1;
    }
    const int count = ::epoll_wait(epoll_.get(), &event, 1, 0);
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    return count == 1 ? static_cast<int>(event.events & 0xffffU) : count;
  }

 private:
  Mutex mutex_;  ///< of what is in the instance
  const UniqueFd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
};

// The numbers are the same: include/uapi/linux/eventpoll.h.
static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLHUP == EPOLLHUP &&
              POLLERR == EPOLLERR && POLLPRI == EPOLLPRI);

/// How many are ready, or -1.
int look_at_all(std::span<pollfd> files) {
  int ready = 0;
  for (pollfd& file : files) {
    file.revents = 0;
    if (file.fd < 0) continue;
    const int events = Reserve::of_process().look(file.fd, file.events);
    if (events < 0) return -1;
    file.revents = static_cast<short>(events);
    if (events != 0) ++ready;
  }
  return ready;
}

int poll_without_limit(std::span<pollfd> files, std::optional<Clock::time_point> until) {
  for (;;) {
    if (const int ready = look_at_all(files); ready != 0) return ready;
    const auto now = Clock::now();
    if (until && now >= *until) return 0;
    const auto next = now + kBetweenLooks;
    std::this_thread::sleep_until(until ? std::min(*until, next) : next);
  }
}

}  // namespace

void keep_poll_reserve() { (void)Reserve::of_process(); }

int poll_files(std::span<pollfd> files, std::optional<std::chrono::nanoseconds> timeout) {
  if (!timeout || timeout->count() > 0) HeldLocks::assert_may_wait();
  timespec time{};
  if (timeout) {
    const auto left = std::max(*timeout, std::chrono::nanoseconds(0));
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    time = {static_cast<time_t>(seconds.count()), static_cast<long>((left - seconds).count())};
  }
  const int ready = ::ppoll(files.data(), files.size(), timeout ? &time : nullptr, nullptr);
  if (ready >= 0 || errno != EINVAL) return ready;
  if (Reserve::of_process().valid()) {
    // EINVAL comes at once, so all of the time is left.
    std::optional<Clock::time_point> until;
    if (timeout) until = Clock::now() + *timeout;
    return poll_without_limit(files, until);
  }
  errno = EINVAL;
  return -1;
}

std::optional<short> events_now(int fd, short events) {
  pollfd file{fd, events, 0};
  const int ready = poll_files({&file, 1}, std::chrono::nanoseconds(0));
  if (ready < 0) return std::nullopt;
  return file.revents;
}

}  // namespace shmvisor
