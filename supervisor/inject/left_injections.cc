#include "supervisor/inject/left_injections.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <list>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "supervisor/credentials/thread_identity.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/inject/sent_stops.h"
#include "supervisor/inject/stopped_caller.h"
#include "supervisor/inject/tracee_signals.h"
#include "supervisor/kernel/fault_point.h"
#include "supervisor/kernel/thread.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/procfs/task_status.h"
#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {
namespace {

using journal::InjectionNote;

constexpr std::size_t kStackBytes = std::size_t{256} * 1024;
/// Each look comes twice as long after the one before.
constexpr std::chrono::milliseconds kFirstPause(1);
constexpr std::chrono::milliseconds kLongestPause(500);
/// Of a thread that had them, one was behind what a SIGSTOP that it has taken makes of it.
constexpr std::uint64_t kEnoughSwitches = 3;

bool has_stopped(pid_t tid) {
  const auto status = TaskStatus::read(tid);
  return status && status->state == 'T';
}

bool is_in_call(pid_t tid, int number) {
  const auto text = read_proc_file(tid, "syscall");
  return text && text->starts_with(std::to_string(number) + " ");
}

/// What tells whether a thread has run.
struct Activity {
  char state = '?';
  std::uint64_t switches = 0;  ///< to other threads

  static std::optional<Activity> of(pid_t tid) {
    const auto text = read_proc_file(tid, "status");
    if (!text) return std::nullopt;
    Activity activity;
    const auto behind = [&](const char* field) {
      const std::size_t at = text->find(field);
      return at == std::string::npos ? "" : text->c_str() + at + std::strlen(field);
    };
    activity.state = *behind("\nState:\t");
    activity.switches = std::strtoull(behind("\nvoluntary_ctxt_switches:\t"), nullptr, 10) +
                        std::strtoull(behind("\nnonvoluntary_ctxt_switches:\t"), nullptr, 10);
    return activity;
  }
};

/// To one that went on by itself, if it still has the mask `found`.
void give_mask_back(pid_t tid, std::uint64_t caller, std::uint64_t found, std::uint64_t mask) {
  auto seized = StoppedCaller::seize(tid);
  if (!seized) return;
  if (!seized->interrupt()) return;
  switch (seized->wait(Tracee::Wait::kBounded)) {
    case Tracee::Stop::kGone:
      return;
    case Tracee::Stop::kTimeout:
      return seized->abandon();
    default:
      break;
  }
  // Unless it has changed that since.
  const auto now = seized->signal_mask();
  if (now && (*now | StoppedCaller::kUnblockable) == (found | StoppedCaller::kUnblockable) &&
      is_thread(tid, caller).value_or(false)) {
    (void)seized->set_signal_mask(mask);
  }
  (void)seized->detach();
}

}  // namespace

void LeftInjections::settle_all(StateFile& state, const KernelFeatures& features,
                                std::chrono::milliseconds bound) {
  const auto deadline = std::chrono::steady_clock::now() + bound;
  CallSlots slots(state, {});
  for (const CallSlots::Left& one : slots.take_left()) (void)slots.leave(one.notification.id);
  LeftInjections injections(slots);
  injections.use(features);
  injections.is_served_ = false;
  injections.begin();
  injections.give_masks_back();
  // Its threads use what is here.
  if (!injections.wait_for_threads(deadline)) ::_exit(0);
}

bool LeftInjections::wait_for_end(std::chrono::milliseconds bound) {
  over_.store(true);
  return wait_for_threads(std::chrono::steady_clock::now() + bound);
}

bool LeftInjections::wait_for_threads(std::chrono::steady_clock::time_point deadline) {
  const MutexLock lock(mutex_);
  while (threads_ != 0 && ended_.wait_until(mutex_, deadline)) {
  }
  return threads_ == 0;
}

void LeftInjections::begin() {
  std::map<pid_t, std::vector<Look>> by_process;
  for (const Guarded& one : slots_.left_with(InjectionNote::kGuarded)) {
    const auto status = TaskStatus::read(one.tid);
    by_process[status ? status->tgid : one.tid].push_back({one, {}});
  }
  for (auto& [process, looks] : by_process) {
    run_aside([this, of = process, all = std::move(looks)] { settle_process(of, all); });
  }
}

void LeftInjections::give_masks_back() {
  for (const Guarded& one : slots_.left_with(InjectionNote::kBlocked)) {
    (void)slots_.look_at_left(one.call, [&](InjectionNote& note) {
      if (note.phase.load() != InjectionNote::kRepeating || note.has(InjectionNote::kGuarded)) {
        return;
      }
      run_aside([this, tid = one.tid, caller = note.caller.load(), mask = note.signal_mask] {
        // Its call found nobody to serve it.
        give_mask_back(tid, caller, mask | all_but_faults(), mask);
      });
    });
  }
}

void LeftInjections::run_aside(std::function<void()> work) {
  {
    const MutexLock lock(mutex_);
    waiting_.push_back(std::move(work));
    ++threads_;
  }
  if (start_thread()) return;
  const MutexLock lock(mutex_);
  if (--threads_ == 0) spdlog::error("no thread can be had: callers stay stopped");
}

bool LeftInjections::start_thread() {
  const auto entry = [](void* self) -> void* {
    static_cast<LeftInjections*>(self)->work();
    return nullptr;
  };
  if (start_detached(entry, this, kStackBytes)) return true;
  return LosableThreads::all()
      .run([this]() noexcept { work(); }, std::chrono::milliseconds(0))
      .ok();
}

void LeftInjections::work() noexcept {
  KickTimer::allow_on_this_thread();
  MutexLock lock(mutex_);
  // A tracee that was abandoned is free when this thread has ended.
  while (!waiting_.empty() && !Tracee::this_thread_abandoned_one()) {
    const auto next = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    try {
      next();
    } catch (const std::exception& error) {
      spdlog::error("a caller stays stopped: {}", error.what());
    }
    lock.lock();
  }
  if (!waiting_.empty()) {
    lock.unlock();
    if (start_thread()) return;
    lock.lock();
  }
  --threads_;
  ended_.notify_all();
}

void LeftInjections::settle_process(pid_t process, std::vector<Look> looks) {
  for (auto pause = kFirstPause; !over_.load(); pause = std::min(2 * pause, kLongestPause)) {
    std::erase_if(looks, [this](Look& look) { return is_over(look); });
    if (looks.empty()) return;
    if (std::ranges::all_of(looks, [](const Look& one) { return has_stopped(one.slot.tid); })) {
      give_back(process, looks);
      if (Tracee::this_thread_abandoned_one()) {
        return run_aside([this, process, all = std::move(looks)] { settle_process(process, all); });
      }
    }
    std::this_thread::sleep_for(pause);
  }
}

bool LeftInjections::is_over(Look& look) {
  const InjectionNote* const note = note_of(look.slot);
  if (note == nullptr || !note->has(InjectionNote::kGuarded)) return true;
  const pid_t tid = look.slot.tid;
  if (!thread_lives(tid, note->caller.load(), *features_)) {
    slots_.free(look.slot.call);
    return true;
  }
  const auto status = TaskStatus::read(tid);
  if (!status || (status->pending_signals & bit_of(SIGSTOP)) != 0) return false;
  // Neither waiting for it nor stopped: somebody has taken it back, or we had met it. But one that
  // is about to stop shows nothing of it either until it runs.
  const auto now = Activity::of(tid);
  if (!now || now->state == 'T' || now->state == 't') return false;
  if (!look.switches) look.switches = now->switches;
  if (now->state != 'S' && now->switches < *look.switches + kEnoughSwitches) return false;
  bool has_result = false;
  std::optional<std::uint64_t> mask;
  std::uint64_t caller = 0;
  const int number = look.slot.number;
  (void)slots_.look_at_left(look.slot.call, [&](InjectionNote& left) {
    left.clear(InjectionNote::kGuarded);
    has_result = left.phase.load() == InjectionNote::kReleasing;
    caller = left.caller.load();
    if (left.has(InjectionNote::kBlocked)) mask = left.signal_mask;
  });
  if (mask && has_result) give_mask_back(tid, caller, StoppedCaller::kAllButContinue, *mask);
  // Somebody's SIGCONT has let it go on with what it had; or it makes its call again, at whose end
  // it gets its mask.
  if (mask && !has_result && !is_in_call(tid, number)) {
    give_mask_back(tid, caller, *mask | all_but_faults(), *mask);
  }
  if (!has_result) return true;
  slots_.free(look.slot.call);
  return true;
}

void LeftInjections::give_back(pid_t process, const std::vector<Look>& stopped) {
  const auto continuing = SentStops::Continuing::begin(process);
  if (!continuing) return;
  std::list<StoppedCaller> callers;
  for (const Look& one : stopped) {
    InjectionNote* const note = note_of(one.slot);
    if (note == nullptr) continue;
    auto seized = StoppedCaller::seize(one.slot.tid);
    // All or none: those that were attached to stay stopped when they are let go.
    if (!seized) {
      for (StoppedCaller& other : callers) other.detach_stopped();
      return;
    }
    callers.emplace_back(std::move(*seized), *note, one.slot.call, is_served_);
  }
  fault_point("left_seized");
  bool all_known = true;
  std::erase_if(callers, [&](StoppedCaller& one) {
    const auto found = one.restore(slots_);
    if (found == StoppedCaller::Found::kElsewhere) slots_.free(one.call());
    all_known = all_known && found != StoppedCaller::Found::kLater;
    return found == StoppedCaller::Found::kElsewhere || found == StoppedCaller::Found::kGone;
  });
  if (!all_known) {
    for (StoppedCaller& one : callers) one.detach_stopped();
    return;
  }
  if (callers.empty()) return;
  callers.front().take_continue();
  fault_point("left_continued");
  for (StoppedCaller& one : callers) {
    one.let_go();
    if (one.keeps_result()) slots_.free(one.call());
  }
}

InjectionNote* LeftInjections::note_of(const Guarded& slot) {
  InjectionNote* found = nullptr;
  (void)slots_.look_at_left(slot.call, [&](InjectionNote& note) { found = &note; });
  return found;
}

}  // namespace shmvisor
