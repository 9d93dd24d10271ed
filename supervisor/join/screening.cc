#include "supervisor/join/screening.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "policy/base/held_locks.h"
#include "supervisor/kernel/descriptor_message.h"
#include "supervisor/kernel/descriptor_path.h"
#include "supervisor/kernel/poll_files.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {
namespace {

/// Of a millisecond's work, on a busy machine.
constexpr std::chrono::milliseconds kPatience(4000);

struct Report {
  int error = 0;  ///< an errno
  join::Request request;
};

/// By what /proc shows: an ioctl(2) would ask the file itself. A file in a file system shows as a
/// path.
bool is_user_namespace(const UniqueFd& fd) {
  constexpr std::string_view kBegin = "user:[";
  std::array<char, kBegin.size()> target{};
  const ssize_t length = ::readlink(descriptor_path(fd).c_str(), target.data(), target.size());
  return length > 0 && std::string_view(target.data(), static_cast<std::size_t>(length)) == kBegin;
}

bool fit(const join::Request& request, const ReceivedDescriptors& received) {
  const bool wants_files = request.wants_files == 1;
  return is_seccomp_listener(received[0]) && received[1].valid() == wants_files &&
         (!wants_files || is_user_namespace(received[1]));
}

/// Closes all others, and gives these the lowest numbers.
void keep_only(int connection, int socket) {
  const std::array kept{::fcntl(connection, F_DUPFD_CLOEXEC, 16),
                        ::fcntl(socket, F_DUPFD_CLOEXEC, 16)};
  for (int number = 0; number < 2; ++number) ::dup3(kept.at(number), number, O_CLOEXEC);
  ::syscall(SYS_close_range, 2U, ~0U, 0U);
}

/// In the forked child of a program with threads: system calls alone.
[[noreturn]] void receive_in(int connection, int socket) {
  keep_only(connection, socket);
  Report report;
  auto received = receive_message(0, report.request);
  ::close(0);  // which is the server's to end
  if (!received) report.error = received.error().value();
  std::size_t handed_on = 0;
  if (received && fit(report.request, *received)) handed_on = received->at(1).valid() ? 2 : 1;
  std::array<int, kMostDescriptors> fds{-1, -1};
  for (std::size_t i = 0; i < handed_on; ++i) fds.at(i) = received->at(i).get();
  (void)send_message(1, report, std::span(fds).first(handed_on));
  ::_exit(0);
}

bool wait_for(int socket) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + kPatience;
  pollfd answered{socket, POLLIN, 0};
  for (;;) {
    const auto left = deadline - Clock::now();
    if (left.count() <= 0) return false;
    const int ready = poll_files({&answered, 1}, left);
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

Result<ScreenedRequest> hear(int socket, StrangersFile listener) {
  if (!wait_for(socket)) return Errno(ETIMEDOUT);
  Report report;
  auto received = receive_message(socket, report);
  if (!received) return received.error();
  if (report.error != 0) return Errno(report.error);
  listener.hold(std::move(received->at(0)));
  return ScreenedRequest{report.request, std::move(listener), std::move(received->at(1))};
}

/// What a message without descriptors is, which no child need receive. Nothing where a child is to
/// receive it. Without room for descriptors a look opens none.
std::optional<Result<join::Request>> look_at_message(int connection) {
  join::Request seen;
  iovec data{&seen, sizeof(seen)};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  ssize_t got = 0;
  do {
    got = ::recvmsg(connection, &header, MSG_PEEK | MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return Errno::current();
  if (got == 0) return Errno(ENOTCONN);
  const auto flags = static_cast<unsigned>(header.msg_flags);
  // Whatever else it is: to drop a descriptor on the way may take long, too.
  if ((flags & MSG_CTRUNC) != 0) return std::nullopt;
  if (static_cast<std::size_t>(got) != sizeof(seen) || (flags & MSG_TRUNC) != 0) {
    return Errno(EBADMSG);
  }
  return Result<join::Request>(seen);
}

}  // namespace

void receive_screened(UniqueFd connection, ScreeningRoom room,
                      const std::function<void(Result<ScreenedRequest>)>& take) {
  if (const auto seen = look_at_message(connection.get())) {
    connection.reset();
    if (*seen) {
      take(ScreenedRequest{**seen, std::move(room.listener), UniqueFd()});
    } else {
      take(seen->error());
    }
    return;
  }
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    const Errno error = Errno::current();
    connection.reset();
    take(error);
    return;
  }
  room.socket.hold(UniqueFd(pair[0]));
  UniqueFd theirs(pair[1]);
  const pid_t child = ::fork();
  if (child == 0) receive_in(connection.get(), theirs.get());
  theirs.reset();
  connection.reset();
  if (child < 0) {
    take(Errno(EAGAIN));
    return;
  }
  {
    const StrangersFile ours = std::move(room.socket);
    take(hear(ours.get(), std::move(room.listener)));
  }
  ::kill(child, SIGKILL);
  HeldLocks::assert_may_wait();
  // The child of this thread: the main thread, which reaps, does not see it.
  while (::waitpid(child, nullptr, __WNOTHREAD) < 0 && errno == EINTR) {
  }
}

}  // namespace shmvisor
