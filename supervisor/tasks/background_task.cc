#include "supervisor/tasks/background_task.h"

#include <spdlog/spdlog.h>

#include <exception>
#include <utility>

#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {

bool BackgroundTask::running() const {
  const MutexLock lock(state_->mutex);
  return state_->running;
}

Result<void> BackgroundTask::start(std::function<void()> task) {
  const MutexLock lock(state_->mutex);
  if (state_->running) return Errno(EBUSY);
  auto started = LosableThreads::all().run(
      [state = state_, task = std::move(task)]() noexcept {
        try {
          task();
        } catch (const std::exception& error) {
          spdlog::error("a task in the background failed: {}", error.what());
        }
        const MutexLock ending(state->mutex);
        state->running = false;
        state->ended.notify_all();
      },
      std::chrono::milliseconds(0), LosableThreads::Reserve::kIsForOthers);
  if (started) state_->running = true;
  return started;
}

bool BackgroundTask::wait_for_end(std::chrono::milliseconds bound) {
  const auto deadline = std::chrono::steady_clock::now() + bound;
  const MutexLock lock(state_->mutex);
  while (state_->running && state_->ended.wait_until(state_->mutex, deadline)) {
  }
  return !state_->running;
}

}  // namespace shmvisor
