#include "integration/differential/worker_links.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "integration/differential/test_maps.h"
#include "integration/differential/worker.h"

namespace shmvisor {
namespace {

/// How often a worker that does not answer is looked at, and for how long.
constexpr timeval kLook{0, 100'000};
constexpr int kMostLooks = 300;

}  // namespace

void WorkerLinks::open() {
  for (int index = 0; index < kMaxWorkers; ++index) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0) throw BrokenRun{"socketpair"};
    ::dup2(pair[0], kInterpreterFd + index);
    ::dup2(pair[1], kWorkerFd + index);
    ::close(pair[0]);
    ::close(pair[1]);
    ::setsockopt(kInterpreterFd + index, SOL_SOCKET, SO_RCVTIMEO, &kLook, sizeof(kLook));
  }
}

void WorkerLinks::send(int worker, const Request& request) const {
  if (::send(kInterpreterFd + worker, &request, sizeof(request), MSG_NOSIGNAL) < 0) {
    throw BrokenRun{"send"};
  }
}

std::optional<WorkerAnswer> WorkerLinks::try_receive(int worker, int flags) const {
  std::optional<WorkerAnswer> answer(std::in_place);
  static std::array<char, kMostText> text;
  iovec parts[2] = {{&answer->response, sizeof(answer->response)}, {text.data(), text.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  const ssize_t got = ::recvmsg(kInterpreterFd + worker, &message, flags);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  if (got < static_cast<ssize_t>(sizeof(Response))) throw BrokenRun{"short-answer"};
  answer->text.assign(text.data(), static_cast<std::size_t>(got) - sizeof(Response));
  return answer;
}

WorkerAnswer WorkerLinks::receive(int worker) const {
  for (int looks = 0; looks < kMostLooks; ++looks) {
    if (auto answer = try_receive(worker, 0)) return std::move(*answer);
    check_alive(worker);
    check_code(worker);
  }
  throw BrokenRun{"worker-" + std::to_string(worker) + "-does-not-answer"};
}

void WorkerLinks::check_alive(int worker) const {
  siginfo_t info{};
  const auto pid = static_cast<id_t>(task_of(worker).process);
  if (::waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 && info.si_pid != 0) {
    throw BrokenRun{"worker-" + std::to_string(worker) + "-ended-with-" +
                    std::to_string(info.si_code) + "-" + std::to_string(info.si_status)};
  }
}

void WorkerLinks::check_code(int worker) const {
  const std::uint64_t code = Worker::code_address();
  for (const TestMapping& mapping : TestMaps::read(task_of(worker).thread)) {
    if (mapping.start <= code && code < mapping.end && mapping.rights.starts_with("rwx")) {
      throw BrokenRun{"worker-" + std::to_string(worker) + "-executes-what-it-attached"};
    }
  }
}

WorkerAnswer WorkerLinks::converse(int worker, const Request& request) const {
  send(worker, request);
  return receive(worker);
}

}  // namespace shmvisor
