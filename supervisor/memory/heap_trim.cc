#include "supervisor/memory/heap_trim.h"

#include <malloc.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "supervisor/tasks/run_aside.h"

namespace shmvisor {
namespace {

/// Fewer leave nothing to speak of.
constexpr int kWave = 64;
constexpr std::chrono::seconds kQuiet(1);
constexpr int kMostWaits = 10;

// The heap is the process's, and so are these.
std::atomic<int> g_freed{0};
std::atomic<bool> g_under_way{false};

void trim_when_quiet() {
  for (int waits = 0; waits < kMostWaits; ++waits) {
    const int before = g_freed.load();
    std::this_thread::sleep_for(kQuiet);
    if (g_freed.load() == before) break;
  }
  g_freed.store(0);
  g_under_way.store(false);
  ::malloc_trim(0);
}

}  // namespace

void heap_trim_later() {
  if (g_freed.fetch_add(1) + 1 < kWave || g_under_way.exchange(true)) return;
  if (!run_aside(kNobodysWork, trim_when_quiet)) g_under_way.store(false);
}

}  // namespace shmvisor
