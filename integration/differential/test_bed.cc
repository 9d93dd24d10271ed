#include "integration/differential/test_bed.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>

#include "policy/base/unique_fd.h"

namespace shmvisor {
namespace {

constexpr int kBoundMilliseconds = 240'000;
/// The child could not make its surroundings.
constexpr int kNoSurroundings = 124;

UniqueFd memory_file(const std::string& text) {
  UniqueFd fd(::memfd_create("differential", MFD_CLOEXEC));
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::lseek(fd.get(), 0, SEEK_SET) != 0) {
    fd.reset();
  }
  return fd;
}

std::string content_of(const UniqueFd& fd) {
  std::string text;
  std::array<char, 16384> chunk;
  ::lseek(fd.get(), 0, SEEK_SET);
  for (;;) {
    const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got <= 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

bool forbid_kernel_shm() {
  const UniqueFd fd(::open("/proc/sys/kernel/shmmni", O_WRONLY | O_CLOEXEC));
  return fd.valid() && ::write(fd.get(), "0", 1) == 1;
}

[[noreturn]] void execute(const std::vector<std::string>& command, const UniqueFd& in,
                          const UniqueFd& out, const UniqueFd& log, bool kernel_shm) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  char* const environment[] = {nullptr};
  if (::unshare(CLONE_NEWIPC) != 0 || (!kernel_shm && !forbid_kernel_shm()) ||
      ::personality(ADDR_NO_RANDOMIZE) < 0 || ::dup2(in.get(), STDIN_FILENO) < 0 ||
      ::dup2(out.get(), STDOUT_FILENO) < 0 || ::dup2(log.get(), STDERR_FILENO) < 0) {
    ::_exit(kNoSurroundings);
  }
  ::execve(arguments[0], arguments.data(), environment);
  ::_exit(127);
}

/// Whether it ended in time; everything in this PID namespace is gone afterwards.
bool wait_for(pid_t pid, int& wait_status) {
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pollfd ended{pidfd.get(), POLLIN, 0};
  const bool in_time = ::poll(&ended, 1, kBoundMilliseconds) == 1;
  ::kill(-1, SIGKILL);
  ::waitpid(pid, &wait_status, 0);
  while (::waitpid(-1, nullptr, __WALL) > 0) {
  }
  return in_time;
}

}  // namespace

std::string TestBed::Run::complaint() const {
  std::string words;
  if (timed_out) words += "timed-out ";
  if (wait_status != 0) {
    words += WIFSIGNALED(wait_status) ? "killed-by-signal-" + std::to_string(WTERMSIG(wait_status))
                                      : "exit-status-" + std::to_string(WEXITSTATUS(wait_status));
  }
  return words;
}

TestBed::Run TestBed::natively(const Sequence& sequence) {
  return run({interpreter_, users_of_next_run()}, sequence, true);
}

TestBed::Run TestBed::supervised(const Sequence& sequence) {
  return run({shmvisor_, "run", "--", interpreter_, users_of_next_run()}, sequence, false);
}

std::string TestBed::users_of_next_run() {
  const uid_t user = first_user_ + next_user_;
  next_user_ = (next_user_ + kUsers) % users_;
  return std::to_string(user);
}

TestBed::Run TestBed::run(std::vector<std::string> command, const Sequence& sequence,
                          bool kernel_shm) const {
  Run run;
  const UniqueFd in = memory_file(to_text(sequence));
  const UniqueFd out = memory_file("");
  const UniqueFd log = memory_file("");
  const auto begin = std::chrono::steady_clock::now();
  const pid_t pid = ::fork();
  if (pid == 0) execute(command, in, out, log, kernel_shm);
  run.timed_out = pid < 0 || !wait_for(pid, run.wait_status);
  run.took = std::chrono::steady_clock::now() - begin;
  run.text = content_of(out);
  run.log = content_of(log);
  return run;
}

}  // namespace shmvisor
