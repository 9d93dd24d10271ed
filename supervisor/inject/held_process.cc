#include "supervisor/inject/held_process.h"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "policy/base/shortage.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/inject/entry_search.h"
#include "supervisor/inject/tracer_patience.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;
using Trouble = HeldProcess::Trouble;

constexpr std::chrono::milliseconds kBetweenLooks(1);
/// A thread that makes threads is seized itself sooner or later.
constexpr int kMostRounds = 100;

bool has_ended(pid_t tid) {
  const auto status = TaskStatus::read(tid);
  return !status || status->state == 'Z' || status->state == 'X';
}

Result<AttachedThread> attach(pid_t tid) {
  return with_identity_of(tid, kToTrace, [tid] { return AttachedThread::attach(tid); });
}

}  // namespace

Result<HeldProcess, HeldProcess::Trouble> HeldProcess::hold(pid_t pid) {
  HeldProcess held(pid);
  for (int round = 0; round < kMostRounds; ++round) {
    const auto some = held.take_new_threads();
    if (!some) return some.error();
    if (!*some) break;
  }
  const auto until = Clock::now() + kGrace;
  held.take_stops();
  while (!held.moving_.empty() && Clock::now() < until) {
    std::this_thread::sleep_for(kBetweenLooks);
    held.take_stops();
  }
  if (held.stopped_.empty()) {
    return held.moving_.empty() ? Trouble::kGone : Trouble::kStaysInKernel;
  }
  return held;
}

HeldProcess::~HeldProcess() {
  stopped_.clear();
  take_stops();
  stopped_.clear();
  for (AttachedThread& one : moving_) one.abandon();
}

Result<bool, Trouble> HeldProcess::take_new_threads() {
  const auto tids = numbered_entries("/proc/" + std::to_string(pid_) + "/task");
  if (!tids) return is_shortage(tids.error()) ? Trouble::kNoMeans : Trouble::kGone;
  bool some = false;
  for (const pid_t tid : *tids) {
    if (!known_.insert(tid).second) continue;
    some = true;
    if (const auto taken = take(tid); !taken) return taken.error();
  }
  return some;
}

Result<void, Trouble> HeldProcess::take(pid_t tid) {
  const auto until = Clock::now() + kForTracers;
  for (;;) {
    auto attached = attach(tid);
    if (attached) {
      if (attached->interrupt()) moving_.push_back(std::move(*attached));
      return {};
    }
    if (is_shortage(attached.error())) return Trouble::kNoMeans;
    if (attached.error() == Errno(EAGAIN)) return Trouble::kInExec;
    if (attached.error() != Errno(EPERM) || has_ended(tid)) return {};  // a thread less
    if (Clock::now() >= until) {
      return tracer_of(tid).tid == 0 ? Trouble::kOutOfReach : Trouble::kTraced;
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

void HeldProcess::take_stops() {
  for (auto next = moving_.begin(); next != moving_.end();) {
    const auto one = next++;
    if (!one->has_news()) continue;
    auto stopped = std::move(*one).wait_until_stopped();
    moving_.erase(one);
    if (stopped) stopped_.push_back(std::move(*stopped));
  }
}

StoppedThread* HeldProcess::worker() {
  for (StoppedThread& one : stopped_) {
    if (const auto entry = find_entry(one)) {
      one.enter_at(*entry);
      return &one;
    }
  }
  return nullptr;
}

}  // namespace shmvisor
