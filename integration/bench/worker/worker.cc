#include "integration/bench/worker/worker.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace shmvisor {

void give_up(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  std::fflush(stderr);
  ::_exit(1);
}

int run_worker(const std::vector<std::string>& arguments) {
  WorkerTable table;
  add_unrelated_calls(table);
  add_shm_calls(table);
  add_memory(table);
  add_parallel_callers(table);
  add_crowds(table);
  add_idlers(table);

  int milliseconds = 0;
  WorkerSettings settings;
  const auto found = arguments.empty() ? table.end() : table.find(arguments[0]);
  if (arguments.size() >= 2) {
    std::from_chars(arguments[1].data(), arguments[1].data() + arguments[1].size(), milliseconds);
  }
  if (found == table.end() || milliseconds <= 0) {
    std::fprintf(stderr, "usage: --worker NAME MILLISECONDS [--cooperate] [COMMAND...]\n");
    return 2;
  }
  settings.budget = std::chrono::milliseconds(milliseconds);
  std::size_t next = 2;
  if (next < arguments.size() && arguments[next] == "--cooperate") {
    settings.cooperate = true;
    ++next;
  }
  settings.command.assign(arguments.begin() + static_cast<std::ptrdiff_t>(next), arguments.end());
  for (const double number : found->second(settings)) std::printf("%.6g\n", number);
  std::fflush(stdout);
  return 0;
}

}  // namespace shmvisor
