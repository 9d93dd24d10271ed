#include "supervisor/inject/tracer_patience.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <string>

#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/inject/tracee_signals.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

/// A caller that did not come again for so long has not been waiting.
constexpr std::chrono::milliseconds kStale(500);

}  // namespace

TracerPatience::Turn::~Turn() {
  if (patience_ == nullptr) return;
  const MutexLock lock(patience_->mutex_);
  --patience_->waiting_;
  const auto of_user = patience_->waiting_of_.find(user_);
  if (--of_user->second == 0) patience_->waiting_of_.erase(of_user);
}

std::optional<TracerPatience::Turn> TracerPatience::begin(pid_t caller, pid_t tracer, uid_t user) {
  const auto now = Clock::now();
  const MutexLock lock(mutex_);
  if (tracer == stays_ || waiting_ >= kMostWaiting) return std::nullopt;
  const auto of_user = waiting_of_.find(user);
  if (of_user != waiting_of_.end() && of_user->second >= kMostOfUser) return std::nullopt;
  std::erase_if(callers_, [now](const auto& entry) { return now - entry.second.last > kStale; });
  const auto entry = callers_.try_emplace(caller, Caller{now + bound_, now}).first;
  if (now >= entry->second.deadline) {
    stays_ = tracer;
    callers_.erase(entry);
    return std::nullopt;
  }
  entry->second.last = now;
  ++waiting_of_[user];
  ++waiting_;
  return Turn(*this, user);
}

Tracer tracer_of(pid_t tid) {
  const auto status = TaskStatus::read(tid);
  if (!status || status->tracer_pid == 0) return {};
  const std::string path = "/proc/self/task/" + std::to_string(status->tracer_pid);
  return {status->tracer_pid, ::access(path.c_str(), F_OK) == 0};
}

bool nudge_traced(pid_t tid) {
  // By default these are ignored; only where somebody traces are they sent all the same
  // (sig_ignored() of kernel/signal.c).
  constexpr int kIgnored[] = {SIGURG, SIGWINCH, SIGCHLD};
  const auto before = TaskStatus::read(tid);
  if (!before) return false;
  for (const int signal : kIgnored) {
    if (((before->caught_signals | before->blocked_signals) & bit_of(signal)) != 0) continue;
    const auto sent = with_identity_of(tid, kToSignal, [&]() -> Result<void> {
      if (::syscall(SYS_tgkill, before->tgid, tid, signal) != 0) return Errno::current();
      return {};
    });
    // Where the tracer has just left it was dropped.
    const auto after = TaskStatus::read(tid);
    return sent && after && (after->pending_signals & bit_of(signal)) != 0;
  }
  return false;
}

}  // namespace shmvisor
