#include "supervisor/launch/side_client.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "supervisor/kernel/poll_files.h"
#include "supervisor/launch/end_child.h"

namespace shmvisor {
namespace {

/// Where the client finds its end of the connection.
constexpr int kConnection = 3;
/// What it opens or writes may keep it longer: a file of a server that does not answer.
constexpr std::chrono::milliseconds kForItsDeath(500);

class SpawnSettings {
 public:
  explicit SpawnSettings(int connection) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_adddup2(&actions_, connection, kConnection);
    // The command's input and output are to end with the command.
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, STDERR_FILENO, STDOUT_FILENO);
    ::posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  [[nodiscard]] const posix_spawn_file_actions_t* actions() const { return &actions_; }
  [[nodiscard]] const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

}  // namespace

Result<SideClient> SideClient::start(std::vector<std::string> words) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Errno::current();
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  words.insert(words.begin(), "shmvisor");
  words.push_back("--connected=" + std::to_string(kConnection));
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  // What steers the run is not for the client, which would take options from it.
  std::array<char*, 1> environment{nullptr};
  const SpawnSettings settings(theirs.get());
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, "/proc/self/exe", settings.actions(), settings.attributes(),
                                  arguments.data(), environment.data());
  if (error != 0) return Errno(error);
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) {
    const Errno why = Errno::current();
    end_child(pid);
    return why;
  }
  return SideClient(pid, std::move(pidfd), std::move(ours));
}

bool SideClient::wait_for_end(std::chrono::milliseconds bound) const {
  pollfd end{pidfd_.get(), POLLIN, 0};
  const bool ended = poll_files({&end, 1}, bound) > 0;
  if (!ended) {
    (void)::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
    (void)poll_files({&end, 1}, kForItsDeath);
  }
  // As init the run may have reaped it already.
  siginfo_t info{};
  (void)::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG);
  return ended;
}

}  // namespace shmvisor
