#include "supervisor/tasks/background_task.h"

#include <exception>
#include <utility>

#include "supervisor/log/limited_log.h"
#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {

bool BackgroundTask::running() const {
  const MutexLock lock(state_->mutex);
  return state_->running;
}

Result<void> BackgroundTask::start(std::function<void()> task, std::function<void()> told) {
  const MutexLock lock(state_->mutex);
  if (state_->running) return Errno(EBUSY);
  auto started = LosableThreads::all().run(
      [state = state_, task = std::move(task), told = std::move(told)]() mutable noexcept {
        try {
          task();
        } catch (const std::exception& error) {
          log_limited(spdlog::level::err, LogTopic::kMemory, LogLimiter::kNobody,
                      "a task in the background failed: {}", error.what());
        }
        task = nullptr;
        {
          const MutexLock ending(state->mutex);
          state->running = false;
          state->ended.notify_all();
        }
        if (told) told();
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
