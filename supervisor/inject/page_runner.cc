#include "supervisor/inject/page_runner.h"

namespace shmvisor {

Result<std::optional<CallPage::Progress>> PageRunner::run(
    StoppedThread& thread, const CallPage::Work& work, bool caller_may_complete,
    const std::function<void()>& goes_alone) const {
  const CallPage& page = *use_.page;
  const bool completes = caller_may_complete && caller_can_complete(thread);
  const auto begin = page.begin(thread, work, !completes);
  if (!begin) return Errno(EAGAIN);
  if (completes) {
    thread.go_on_from(*begin);
    return std::optional<CallPage::Progress>();
  }
  if (thread.note() != nullptr) goes_alone();
  const auto end = thread.run(*begin);
  if (!end) return end.error();
  const auto progress = page.progress(thread, *begin, *end);
  if (progress && progress->at_end && !progress->lost) {
    page.return_by_code(thread, *begin);
  } else {
    CallPage::free_slot(thread, *begin);
  }
  if (!progress) return progress.error();
  return std::optional(*progress);
}

}  // namespace shmvisor
