#include "supervisor/client/remove_when_killed.h"

#include <unistd.h>

#include <csignal>

namespace shmvisor::client {
namespace {

const char* g_path = nullptr;

void remove_and_end(int signal) {
  (void)::unlink(g_path);
  // With SA_RESETHAND: what it does by default.
  (void)::raise(signal);
}

}  // namespace

void remove_when_killed(const std::string& path) {
  if (path.empty()) return;
  // For as long as the process lives: a signal may come at any time.
  g_path = (new std::string(path))->c_str();  // NOLINT
  // SIGALRM ends a client that has outlived its run.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGPIPE}) {
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) != 0 || now.sa_handler != SIG_DFL) continue;
    struct sigaction wanted {};
    wanted.sa_handler = remove_and_end;
    wanted.sa_flags = static_cast<int>(SA_RESETHAND);
    (void)::sigaction(signal, &wanted, nullptr);
  }
}

}  // namespace shmvisor::client
