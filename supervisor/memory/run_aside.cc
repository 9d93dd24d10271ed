#include "supervisor/memory/run_aside.h"

#include <spdlog/spdlog.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <utility>

#include "supervisor/kernel/detached_thread.h"

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = std::size_t{64} * 1024;

std::atomic<int> g_running{0};

void* run(void* argument) {
  {
    const std::unique_ptr<std::function<void()>> work(
        static_cast<std::function<void()>*>(argument));
    (*work)();
  }
  g_running.fetch_sub(1);
  return nullptr;
}

}  // namespace

bool run_aside(std::function<void()> work) {
  if (g_running.fetch_add(1) >= kMostAside) {
    g_running.fetch_sub(1);
    return false;
  }
  auto owned = std::make_unique<std::function<void()>>(std::move(work));
  const int error = start_detached(run, owned.get(), kStackBytes);
  if (error == 0) {
    (void)owned.release();
    return true;
  }
  g_running.fetch_sub(1);
  spdlog::debug("no thread to free memory in: {}", std::strerror(error));
  return false;
}

}  // namespace shmvisor
