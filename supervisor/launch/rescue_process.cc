#include "supervisor/launch/rescue_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <thread>

#include "supervisor/inject/kick_timer.h"
#include "supervisor/inject/left_injections.h"
#include "supervisor/keeper/server_clone.h"

namespace shmvisor {
namespace {

constexpr std::chrono::seconds kEndOfServer(1);
constexpr std::chrono::seconds kRescue(5);
constexpr std::chrono::milliseconds kBetweenLooks(1);
/// Which the kernel sends at the keeper's end.
constexpr int kKeeperEnds = SIGTERM;

void wait_for_end_of_keeper(pid_t keeper) {
  sigset_t end;
  ::sigemptyset(&end);
  ::sigaddset(&end, kKeeperEnds);
  ::prctl(PR_SET_PDEATHSIG, kKeeperEnds, 0, 0, 0);
  int signal_number = 0;
  while (::getppid() == keeper) (void)::sigwait(&end, &signal_number);
}

/// It is killed when its keeper ends, and holds its callers till then.
void wait_for_end_of_server(pid_t server) {
  const auto deadline = std::chrono::steady_clock::now() + kEndOfServer;
  while (server > 0 && ::kill(server, 0) == 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

void stand_by(StateFile& state, const KeeperPage& page, pid_t keeper) {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  ::prctl(PR_SET_NAME, "shmvisor-rescue", 0, 0, 0);
  (void)::setsid();
  (void)!::chdir("/");
  // The listener above all: who calls once the run is over must not wait for us.
  ::syscall(SYS_close_range, 0, ~0U, 0);
  (void)!::open("/dev/null", O_RDWR);  // so that no other file is standard error
  (void)!::dup(STDIN_FILENO);
  (void)!::dup(STDIN_FILENO);
  wait_for_end_of_keeper(keeper);
  wait_for_end_of_server(page.server.load());
  KickTimer::install_handler([](int /*signal_number*/) {});
  KickTimer::allow_on_this_thread();
  LeftInjections::settle_all(state, kRescue);
}

}  // namespace

RescueProcess::RescueProcess(StateFile& state, const KeeperPage& page) {
  const pid_t keeper = ::getpid();
  const auto cloned = clone_aside();
  if (!cloned) return;
  if (*cloned != 0) {
    pid_ = *cloned;
    return;
  }
  try {
    stand_by(state, page, keeper);
  } catch (const std::exception&) {  // no memory: it can do no more
  }
  ::_exit(0);
}

RescueProcess::~RescueProcess() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  (void)::waitpid(pid_, nullptr, __WALL);
}

}  // namespace shmvisor
