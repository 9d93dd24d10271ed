#include "supervisor/check/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;

/// A finding as bytes: the state, the detail, a zero byte, the meaning.
std::string encoded(const Finding& finding) {
  std::string bytes(1, static_cast<char>('0' + static_cast<int>(finding.state)));
  bytes += finding.detail;
  bytes += '\0';
  bytes += finding.meaning;
  return bytes;
}

Finding decoded(const std::string& bytes) {
  const std::size_t middle = bytes.find('\0');
  if (middle == std::string::npos || middle == 0) return Finding::no("the probe gave no answer");
  return {static_cast<Finding::State>(bytes[0] - '0'), bytes.substr(1, middle - 1),
          bytes.substr(middle + 1)};
}

void write_all(int fd, const std::string& bytes) {
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t count = ::write(fd, bytes.data() + written, bytes.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;  // the reader then sees an answer cut short
    written += static_cast<std::size_t>(count);
  }
}

Result<std::string> read_all(int fd) {
  std::string bytes;
  for (;;) {
    if (auto ready = wait_readable(fd); !ready) return ready.error();
    char buffer[512];
    const ssize_t count = ::read(fd, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Errno::current();
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(count));
  }
}

}  // namespace

Result<void> wait_readable(int fd) {
  const auto deadline = Clock::now() + kPatience;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return Errno(ETIMEDOUT);
    pollfd ready = {fd, POLLIN, 0};
    const int count = ::poll(&ready, 1, static_cast<int>(left.count()));
    if (count > 0) return {};
    if (count < 0 && errno != EINTR) return Errno::current();
  }
}

Finding in_throwaway_child(const std::function<Finding()>& probe) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Finding::no("pipe", Errno::current());
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  Child child([&] {
    read_end.reset();
    write_all(write_end.get(), encoded(probe()));
    return 0;
  });
  if (auto started = child.started(); !started) return Finding::no("fork", started.error());
  write_end.reset();
  const Result<std::string> answer = read_all(read_end.get());
  if (!answer) return Finding::no("the probe's answer", answer.error());
  return decoded(*answer);
}

Child::Child(const std::function<int()>& body) {
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) {
    fork_error_ = Errno::current();
  } else if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // The parent may have ended before it could take us along.
    if (::getppid() != parent) ::_exit(1);
    ::_exit(body());
  }
}

Child::~Child() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Result<void> Child::started() const {
  if (pid_ < 0) return fork_error_;
  return {};
}

Result<int> Child::wait(int options) {
  if (pid_ <= 0) return Errno(ECHILD);
  const auto deadline = Clock::now() + kPatience;
  for (;;) {
    int status = 0;
    const pid_t changed = ::waitpid(pid_, &status, options | WNOHANG);
    if (changed == pid_) {
      if (WIFEXITED(status) || WIFSIGNALED(status)) pid_ = -1;
      return status;
    }
    if (changed < 0 && errno != EINTR) return Errno::current();
    if (Clock::now() >= deadline) return Errno(ETIMEDOUT);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

IdleChild::IdleChild()
    : Child([]() -> int {
        for (;;) ::pause();
      }) {}

}  // namespace shmvisor
