#include "supervisor/inject/left_injections.h"

#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <list>
#include <optional>
#include <thread>
#include <utility>

#include "policy/base/error_result.h"
#include "policy/base/fault_point.h"
#include "supervisor/inject/arch/registers.h"
#include "supervisor/inject/sent_stops.h"
#include "supervisor/inject/tracee.h"
#include "supervisor/inject/tracee_signals.h"
#include "supervisor/procfs/process_stat.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

using journal::InjectionNote;

constexpr std::chrono::milliseconds kBetweenLooks(1);
/// Of one that had its result, and was let go, most likely.
constexpr int kLooksAtReleased = 50;
constexpr int kMostStops = 5;
/// The kernel takes these out of each mask.
constexpr std::uint64_t kUnblockable = bit_of(SIGKILL) | bit_of(SIGSTOP);
constexpr std::chrono::milliseconds kSeizeBound(1000);

bool has_stopped(pid_t tid) {
  const auto stat = ProcessStat::read(tid);
  return stat && stat->state == 'T';
}

/// One that has stopped, while it is given back what it had.
class StoppedCaller {
 public:
  StoppedCaller(Tracee tracee, InjectionNote& note, std::uint64_t call, bool is_served)
      : tracee_(std::move(tracee)), note_(note), call_(call), is_served_(is_served) {}

  [[nodiscard]] pid_t tid() const { return tracee_.tid(); }
  [[nodiscard]] std::uint64_t call() const { return call_; }
  [[nodiscard]] bool keeps_result() const { return keeps_result_; }

  /// False where it is gone, or stays as it is.
  bool restore() {
    if (tracee_.wait(Tracee::Wait::kBounded) == Tracee::Stop::kGone) return false;
    const auto now = Registers::read(tid());
    const auto mask = tracee_.signal_mask();
    if (!now || !mask) {
      (void)tracee_.detach();
      return false;
    }
    RawRegisters raw{};
    std::memcpy(&raw, note_.registers.data(), sizeof(raw));
    const Registers own(raw);
    const Registers again = own.repeating();
    // One that the kernel has repeat a call, a later one from the same place say, is in that call.
    keeps_result_ = note_.phase.load() == InjectionNote::kReleasing &&
                    std::memcmp(&now->raw(), &again.raw(), sizeof(raw)) != 0;
    mask_ = *mask;
    if (keeps_result_) return true;
    // No handler of its runs before it makes its call, at whose end it gets its mask back; or now,
    // where nobody serves that.
    mask_ = is_served_ ? note_.signal_mask | all_but_faults() : note_.signal_mask;
    if (note_.phase.load() == InjectionNote::kStepping) {
      const auto result = now->result_of_other(own.abi(), note_.call.load());
      if (result && !is_error_result(*result)) {
        note_.succeeded(static_cast<std::uint64_t>(*result));
      }
    }
    spdlog::debug("thread {} was left in phase {}, done {} at {:#x}", tid(), note_.phase.load(),
                  note_.done.load(), note_.address.load());
    fault_point("left_looked_at");
    if (!again.write_to(tid())) return false;
    fault_point("left_registers");
    note_.phase.store(InjectionNote::kRepeating);
    return true;
  }

  /// Its process goes on once all are let go.
  void take_continue() {
    (void)tracee_.set_signal_mask(kAllSignals & ~bit_of(SIGCONT));
    if (::syscall(SYS_tkill, tid(), SIGCONT) != 0) return;
    for (int stops = 0; stops < kMostStops && tracee_.waits_for_it(SIGCONT); ++stops) {
      if (!tracee_.resume(false)) return;
      if (tracee_.wait(Tracee::Wait::kBounded) == Tracee::Stop::kTimeout) {
        // Somebody took the SIGCONT back, by a SIGSTOP say.
        (void)tracee_.interrupt();
        (void)tracee_.wait(Tracee::Wait::kBounded);
      }
      if (tracee_.pending_signal() == SIGCONT) return tracee_.drop_pending_signal();
    }
  }

  /// Lets it go as it was found.
  void detach_stopped() {
    (void)tracee_.wait(Tracee::Wait::kBounded);
    (void)tracee_.detach();
  }

  void let_go() {
    (void)tracee_.set_signal_mask(mask_);
    note_.clear(InjectionNote::kGuarded);
    fault_point("left_restored");
    (void)tracee_.detach();
    fault_point("left_let_go");
  }

 private:
  Tracee tracee_;
  InjectionNote& note_;
  std::uint64_t call_;
  bool is_served_;  ///< the call that it makes again
  std::uint64_t mask_ = 0;
  bool keeps_result_ = false;
};

/// To one that went on by itself with its call, and has found nobody to serve that.
void give_mask_back(pid_t tid, std::uint64_t mask) {
  auto seized = Tracee::seize(tid, 0, kSeizeBound);
  if (!seized) return;
  if (seized->interrupt() && seized->wait(Tracee::Wait::kBounded) != Tracee::Stop::kGone) {
    // Unless it has changed that since.
    const auto now = seized->signal_mask();
    if (now && (*now | kUnblockable) == (mask | all_but_faults() | kUnblockable)) {
      (void)seized->set_signal_mask(mask);
    }
  }
  (void)seized->detach();
}

}  // namespace

void LeftInjections::settle() {
  std::vector<Left> left = list();
  if (left.empty()) return;
  (void)task_.start([this, all = std::move(left)]() mutable {
    run(std::move(all), std::chrono::steady_clock::time_point::max());
  });
}

void LeftInjections::settle_all(StateFile& state, std::chrono::milliseconds bound) {
  CallSlots slots(state, {});
  for (const CallSlots::Left& one : slots.take_left()) (void)slots.leave(one.notification.id);
  LeftInjections injections(slots);
  injections.is_served_ = false;
  injections.run(injections.list(), std::chrono::steady_clock::now() + bound);
  for (const auto& one : slots.left_with(InjectionNote::kBlocked)) {
    (void)slots.look_at_left(one.call, [&](InjectionNote& note) {
      if (note.phase.load() == InjectionNote::kRepeating) give_mask_back(one.tid, note.signal_mask);
    });
  }
}

std::vector<LeftInjections::Left> LeftInjections::list() const {
  std::vector<Left> left;
  for (const auto& one : slots_.left_with(InjectionNote::kGuarded)) left.push_back({one});
  return left;
}

void LeftInjections::run(std::vector<Left> left, std::chrono::steady_clock::time_point deadline) {
  while (!over_.load() && !left.empty() && std::chrono::steady_clock::now() < deadline) {
    settle_some(left);
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

void LeftInjections::settle_some(std::vector<Left>& left) {
  std::erase_if(left, [&](Left& one) { return is_over(one); });
  std::vector<std::pair<pid_t, CallSlots::Guarded>> by_process;
  for (const Left& one : left) {
    if (const auto status = TaskStatus::read(one.slot.tid)) {
      by_process.emplace_back(status->tgid, one.slot);
    }
  }
  while (!by_process.empty()) {
    // All of a process at once: a SIGCONT lets each of its threads go on.
    const pid_t process = by_process.front().first;
    std::vector<CallSlots::Guarded> threads;
    std::erase_if(by_process, [&](const auto& one) {
      if (one.first != process) return false;
      threads.push_back(one.second);
      return true;
    });
    const bool ready = std::ranges::all_of(
        threads, [](const CallSlots::Guarded& one) { return has_stopped(one.tid); });
    if (ready) give_back(threads);
  }
}

bool LeftInjections::is_over(Left& one) {
  const InjectionNote* const note = note_of(one.slot);
  if (note == nullptr || !note->has(InjectionNote::kGuarded)) return true;
  const bool gone = ::kill(one.slot.tid, 0) != 0 && errno == ESRCH;
  const bool let_go = note->phase.load() == InjectionNote::kReleasing &&
                      !has_stopped(one.slot.tid) && ++one.looks > kLooksAtReleased;
  if (!gone && !let_go) return false;
  slots_.free(one.slot.call);
  return true;
}

void LeftInjections::give_back(const std::vector<CallSlots::Guarded>& stopped) {
  std::list<StoppedCaller> callers;
  for (const CallSlots::Guarded& one : stopped) {
    InjectionNote* const note = note_of(one);
    if (note == nullptr) continue;
    auto seized = Tracee::seize(one.tid, 0, kSeizeBound);
    // All or none: those that were attached to stay stopped when they are let go.
    if (!seized) {
      for (StoppedCaller& other : callers) other.detach_stopped();
      return;
    }
    callers.emplace_back(std::move(*seized), *note, one.call, is_served_);
  }
  fault_point("left_seized");
  std::erase_if(callers, [](StoppedCaller& one) { return !one.restore(); });
  if (callers.empty()) return;
  const SentStops::Continuing continuing;
  callers.front().take_continue();
  for (StoppedCaller& one : callers) {
    one.let_go();
    if (one.keeps_result()) slots_.free(one.call());
  }
}

InjectionNote* LeftInjections::note_of(const CallSlots::Guarded& slot) {
  InjectionNote* found = nullptr;
  (void)slots_.look_at_left(slot.call, [&](InjectionNote& note) { found = &note; });
  return found;
}

}  // namespace shmvisor
