// Workers that do nothing much: what a supervisor costs that nobody calls, and a program's start.
#include <spawn.h>
#include <sys/ipc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "integration/bench/worker/shm_calls.h"
#include "integration/bench/worker/timing.h"
#include "integration/bench/worker/worker.h"

namespace shmvisor {
namespace {

constexpr std::size_t kPageBytes = 4096;

/// Makes segments, attaches one, says so, and is idle until its standard input ends.
void idle_with(const WorkerSettings& settings, int segments) {
  const ShmCalls calls(settings.cooperate);
  int id = -1;
  for (int i = 0; i < segments; ++i) id = calls.get(IPC_PRIVATE, kPageBytes);
  void* const address = calls.attach(id, kPageBytes);
  std::printf("ready\n");
  std::fflush(stdout);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  calls.detach(address, kPageBytes);
}

/// Start to end of the command that it is given.
double start(const WorkerSettings& settings) {
  std::vector<char*> pointers;
  for (const std::string& word : settings.command) {
    pointers.push_back(const_cast<char*>(word.c_str()));
  }
  pointers.push_back(nullptr);
  return time_each(settings.budget, [&pointers] {
    pid_t pid = 0;
    errno = ::posix_spawnp(&pid, pointers[0], nullptr, nullptr, pointers.data(), environ);
    if (errno != 0) give_up(pointers[0]);
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid) give_up("waitpid");
    if (status != 0) ::_exit(1);  // it has said why
  });
}

}  // namespace

void add_idlers(WorkerTable& table) {
  for (const int segments : {1, 1000, 5000}) {
    table["idle-with-" + std::to_string(segments)] = [segments](const WorkerSettings& settings) {
      idle_with(settings, segments);
      return std::vector<double>{};
    };
  }
  table["start"] = one_number(start);
}

}  // namespace shmvisor
