#include "integration/bench/launched.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "integration/bench/interruption.h"

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kGraceMs = 3000;  // from SIGTERM to SIGKILL

/// The children that a Launched holds.
std::set<pid_t>& held() {
  static std::set<pid_t> pids;
  return pids;
}

void write_file(const char* path, const std::string& text) {
  const UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  if (fd.valid() && ::write(fd.get(), text.data(), text.size()) < 0) return;
}

/// Without privilege a user namespace around it permits an IPC namespace.
void enter_fresh_ipc_namespace() {
  const std::string uid = std::to_string(::geteuid());
  const std::string gid = std::to_string(::getegid());
  if (::unshare(CLONE_NEWIPC) != 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWIPC) != 0) {
      std::fprintf(stderr, "no IPC namespace of its own: %s\n", std::strerror(errno));
      ::_exit(127);
    }
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", uid + " " + uid + " 1");
    write_file("/proc/self/gid_map", gid + " " + gid + " 1");
  }
  write_file("/proc/sys/kernel/shmmni", "32768");
}

[[noreturn]] void become(const std::vector<std::string>& arguments) {
  ::setpgid(0, 0);
  enter_fresh_ipc_namespace();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // after what may take it back: a change of credentials
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) {
    pointers.push_back(const_cast<char*>(argument.c_str()));
  }
  pointers.push_back(nullptr);
  ::execvp(pointers[0], pointers.data());
  std::fprintf(stderr, "cannot run %s: %s\n", pointers[0], std::strerror(errno));
  ::_exit(127);
}

Result<std::array<UniqueFd, 2>> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Errno::current();
  return std::array<UniqueFd, 2>{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::max<decltype(left)>(left, 0));
}

/// Waits for its end, but not for long.
bool reaped_within_grace(pid_t pid) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(kGraceMs);
  while (Clock::now() < deadline) {
    const pid_t waited = ::waitpid(pid, nullptr, WNOHANG);
    if (waited == pid || (waited < 0 && errno == ECHILD)) return true;
    ::usleep(500);
  }
  return false;
}

/// 0 where there is no such process.
pid_t parent_of(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; status >> word;) {
    pid_t parent = 0;
    if (word == "PPid:" && status >> parent) return parent;
  }
  return 0;
}

/// The last two lines as one, since many programs end with a hint at their help.
std::string last_words(const std::string& text) {
  std::istringstream lines(text);
  std::string before;
  std::string last;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    before = std::exchange(last, line);
  }
  return before.empty() ? last : before + "; " + last;
}

}  // namespace

std::string Finished::complaint() const {
  if (exit_status < 0) return interruption() != 0 ? "interrupted" : "did not end in time";
  const std::string words = last_words(errors);
  return words.empty() ? "ended with " + std::to_string(exit_status) : words;
}

Result<Launched> Launched::start(const std::vector<std::string>& arguments) {
  auto input = make_pipe();
  auto output = make_pipe();
  auto errors = make_pipe();
  if (!input || !output || !errors) return Errno(EMFILE);
  const pid_t pid = ::fork();
  if (pid < 0) return Errno::current();
  if (pid == 0) {
    ::dup2((*input)[0].get(), STDIN_FILENO);
    ::dup2((*output)[1].get(), STDOUT_FILENO);
    ::dup2((*errors)[1].get(), STDERR_FILENO);
    become(arguments);
  }
  held().insert(pid);
  return Launched(pid, std::move((*input)[1]), std::move((*output)[0]), std::move((*errors)[0]));
}

Launched::~Launched() {
  if (pid_.value != 0) end();
}

void Launched::end() {
  ::kill(-pid_.value, SIGTERM);
  ::kill(pid_.value, SIGTERM);
  if (!reaped_within_grace(pid_.value)) {
    ::kill(-pid_.value, SIGKILL);
    ::kill(pid_.value, SIGKILL);
    ::waitpid(pid_.value, nullptr, 0);
  }
  let_go();
}

void Launched::let_go() {
  held().erase(pid_.value);
  pid_.value = 0;
  end_strays();
}

bool Launched::running() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid_.value), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

bool Launched::has_descendant(pid_t pid) const {
  while (pid > 1 && pid != pid_.value) pid = parent_of(pid);
  return pid == pid_.value;
}

bool Launched::read_some(Clock::time_point deadline) {
  std::array<pollfd, 2> waiting{{{output_.get(), POLLIN, 0}, {errors_.get(), POLLIN, 0}}};
  const int ready = ::poll(waiting.data(), waiting.size(), milliseconds_until(deadline));
  if (ready < 0) return errno == EINTR && interruption() == 0;
  if (ready == 0) return false;
  const auto take = [](const pollfd& one, UniqueFd& fd, std::string& text) {
    if (one.revents == 0) return;
    std::array<char, 4096> buffer{};
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(got));
    } else {
      fd.reset();
    }
  };
  take(waiting[0], output_, finished_.output);
  take(waiting[1], errors_, finished_.errors);
  return true;
}

bool Launched::wait_for_line(std::chrono::seconds bound) {
  const auto deadline = Clock::now() + bound;
  while (finished_.output.find('\n') == std::string::npos) {
    if (!output_.valid() || interruption() != 0 || !read_some(deadline)) return false;
  }
  return true;
}

Finished Launched::finish(std::chrono::seconds bound) {
  const auto deadline = Clock::now() + bound;
  input_.reset();
  while (output_.valid() || errors_.valid()) {
    if (interruption() != 0 || !read_some(deadline)) {
      end();
      return finished_;
    }
  }
  int status = 0;
  // It closed its output, so it is about to end; if not, its end has a bound too.
  for (pid_t waited = 0; waited == 0;) {
    waited = ::waitpid(pid_.value, &status, WNOHANG);
    if (waited != 0) break;
    if (interruption() != 0 || Clock::now() >= deadline) {
      end();
      return finished_;
    }
    ::usleep(500);
  }
  let_go();
  finished_.exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return finished_;
}

Finished run_to_end(const std::vector<std::string>& arguments, std::chrono::seconds bound) {
  auto launched = Launched::start(arguments);
  if (launched) return launched->finish(bound);
  Finished failed;
  failed.exit_status = 127;
  failed.errors = std::strerror(launched.error().value());
  return failed;
}

void adopt_orphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

void end_strays() {
  const std::string path = "/proc/self/task/" + std::to_string(::gettid()) + "/children";
  for (;;) {
    std::ifstream children(path);
    std::vector<pid_t> strays;
    for (pid_t pid = 0; children >> pid;) {
      if (!held().contains(pid)) strays.push_back(pid);
    }
    if (strays.empty()) return;
    for (const pid_t pid : strays) ::kill(pid, SIGTERM);
    for (const pid_t pid : strays) {
      if (reaped_within_grace(pid)) continue;
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
  }
}

}  // namespace shmvisor
