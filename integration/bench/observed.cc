#include "integration/bench/observed.h"

#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

namespace shmvisor {
namespace {

constexpr int kFailed = 125;
constexpr std::chrono::milliseconds kPause{1};
constexpr std::chrono::seconds kPatience{20};

std::string socket_in(const std::string& folder) { return folder + "/control"; }
std::string events_in(const std::string& folder) { return folder + "/events"; }

/// False where that takes too long.
template <typename Condition>
bool wait_until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

int become(char** command) {
  ::execvp(command[0], command);
  std::fprintf(stderr, "cannot run %s: %s\n", command[0], std::strerror(errno));
  return kFailed;
}

/// Ends with the run. It says nothing but in its file: whoever reads the command's output waits for
/// the end of all that write to it.
[[noreturn]] void follow(const std::string& shmvisor, const std::string& folder) {
  const std::string path = socket_in(folder);
  const std::string output = events_in(folder);
  if (std::freopen("/dev/null", "r+", stdin) == nullptr ||
      ::dup2(STDIN_FILENO, STDOUT_FILENO) < 0 || ::dup2(STDIN_FILENO, STDERR_FILENO) < 0) {
    ::_exit(kFailed);
  }
  if (wait_until([&path] { return ::access(path.c_str(), F_OK) == 0; })) {
    ::execlp(shmvisor.c_str(), shmvisor.c_str(), "events", "--control", path.c_str(), "--output",
             output.c_str(), nullptr);
  }
  ::_exit(kFailed);
}

}  // namespace

const std::vector<std::string>& observers() {
  static const std::vector<std::string> all = {"socket", "trace", "events"};
  return all;
}

std::vector<std::string> observed_prefix(const std::string& observer, const std::string& self,
                                         const std::string& shmvisor, const std::string& folder) {
  std::vector<std::string> prefix = {shmvisor, "run", "--shmmni", "32768"};
  if (observer == "trace") {
    prefix.push_back("--trace=" + folder + "/trace");
  } else {
    prefix.insert(prefix.end(), {"--control", socket_in(folder)});
  }
  prefix.emplace_back("--");
  if (observer == "events") {
    prefix.insert(prefix.begin(), {self, "--followed", folder});
    prefix.insert(prefix.end(), {self, "--when-followed", folder});
  }
  return prefix;
}

int run_followed(char** arguments) {
  const std::string folder = arguments[0];
  // Of the round before.
  ::unlink(socket_in(folder).c_str());
  ::unlink(events_in(folder).c_str());
  // By a child that ends at once: shmvisor has no child that it did not start.
  const pid_t between = ::fork();
  if (between == 0) {
    const pid_t client = ::fork();
    if (client == 0) follow(arguments[1], folder);
    ::_exit(client < 0 ? kFailed : 0);
  }
  int status = 0;
  if (between < 0 || ::waitpid(between, &status, 0) != between || status != 0) {
    std::fprintf(stderr, "cannot start a client: %s\n", std::strerror(errno));
    return kFailed;
  }
  return become(arguments + 1);
}

int run_when_followed(char** arguments) {
  const std::string path = events_in(arguments[0]);
  const bool followed = wait_until([&path] {
    const int id = ::shmget(IPC_PRIVATE, 1, 0600);
    if (id >= 0) ::shmctl(id, IPC_RMID, nullptr);
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && status.st_size > 0;
  });
  if (followed) return become(arguments + 1);
  std::fprintf(stderr, "nobody follows: %s stays empty\n", path.c_str());
  return kFailed;
}

}  // namespace shmvisor
