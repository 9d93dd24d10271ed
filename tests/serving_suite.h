// What a suite of tests that starts servers sets up once in its process.
#pragma once

#include <spdlog/spdlog.h>
#include <sys/prctl.h>

#include <thread>

#ifdef __SANITIZE_ADDRESS__
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#endif

#include "supervisor/inject/kick_timer.h"
#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {

#ifdef __SANITIZE_ADDRESS__
/// Whether all threads of this process but the calling one sleep.
inline bool others_sleep() {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == std::to_string(::gettid())) continue;
    std::ifstream file(task.path() / "stat");
    std::string stat;
    std::getline(file, stat);
    const std::size_t name_end = stat.rfind(')');
    if (name_end != std::string::npos && stat.compare(name_end, 3, ") S") != 0) return false;
  }
  return true;
}
#endif

inline void set_up_serving_suite() {
  spdlog::set_level(spdlog::level::off);
  KickTimer::install_handler(nullptr);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  // A sanitizer may start a thread of its own together with the first.
  std::thread([] {}).join();
  // Which the first server would make otherwise.
  LosableThreads::all().keep_reserve();
  KickTimer::keep_ready();
#ifdef __SANITIZE_ADDRESS__
  // The tests fork. Where a thread that starts holds a lock of AddressSanitizer's heap meanwhile,
  // the child waits for it for ever: GCC 12's runtime does not take these locks before a fork (LLVM
  // 17's does).
  for (int tries = 0; tries < 1000 && !others_sleep(); ++tries) ::usleep(1000);
#endif
}

}  // namespace shmvisor
