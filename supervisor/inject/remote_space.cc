#include "supervisor/inject/remote_space.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <string>
#include <utility>

#include "policy/base/error_result.h"
#include "policy/base/shortage.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/inject/attach_to_caller.h"
#include "supervisor/inject/borrowed_table.h"
#include "supervisor/inject/mmap_call.h"
#include "supervisor/inject/repeated_call.h"
#include "supervisor/procfs/process_stat.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

/// ERESTARTSYS of include/linux/errno.h: seen by tracers only. The kernel repeats the call, or
/// makes EINTR of it, when it lets the thread go.
constexpr std::int64_t kRepeatOrder = -512;
/// Of a descriptor that is lent.
constexpr int kMostLosses = 3;
constexpr int kEnoughLooks = 8;

}  // namespace

/// Delivers the answer into the stopped caller and lets it go.
class RemoteSpace::StopRoute : public AnswerRoute {
 public:
  explicit StopRoute(PtraceStop stop) : stop_(std::move(stop)) {}

  PtraceStop& stop() { return stop_; }
  bool deliver(std::int64_t result) override {
    stop_.set_result(result);
    return stop_.release();
  }

 private:
  PtraceStop stop_;
};

Result<std::optional<std::uint64_t>> RemoteSpace::do_map(const MapRequest& request,
                                                         BackingFile file) {
  // More than a 32-bit mmap2 can be asked for.
  if (request.below_4gib && request.length_bytes > UINT32_MAX) {
    return translate(-ENOMEM, request).error();
  }
  const bool may_be_left = request.may_be_left && request.lock != LockMode::kLazy;
  const CallArguments arguments = mmap_arguments(request, abi_);
  if (may_be_left && may_fetch()) {
    const auto left = leave_to_fetch(file.fd, arguments);
    if (!left) return left.error();
    if (*left) return std::optional<std::uint64_t>();
  }
  const auto mapped = map_descriptor(file.fd.get(), arguments, may_be_left);
  file.fd.reset();  // only the mapping shall count for in_use()
  if (mapped && !*mapped) return std::optional<std::uint64_t>();
  auto address = mapped ? translate(**mapped, request) : Result<std::uint64_t>(mapped.error());
  if (address && request.lock == LockMode::kLazy) {
    const auto locked = lock_lazily(*stop_, abi_, {*address, request.length_bytes});
    if (!locked) address = locked.error();
  }
  if (!address) {
    spdlog::debug("thread {}: {} cannot be mapped: errno {}", call_.tid(), request.name,
                  address.error().value());
    return address.error();
  }
  return std::optional(*address);
}

bool RemoteSpace::may_fetch() const {
  return stop_ == nullptr && waits_killably() && call_page_.page != nullptr &&
         call_page_.may_leave && call_page_.loans != nullptr && call_page_.used() &&
         features_.usable(KernelFeature::kUserDispatchConfig);
}

Result<bool> RemoteSpace::leave_to_fetch(UniqueFd& file, const CallArguments& arguments) {
  if (const auto stopped = stop(); !stopped) return refused(stopped.error());
  if (!has_page() || call_page_.page->overlaps({arguments[0], arguments[1]}) || !can_leave()) {
    call_page_.misses->store(0, std::memory_order_relaxed);
    return false;
  }
  if (!call_page_.loans->reserve(call_page_.unique, call_.tid(), call_page_.user)) return false;
  const LentDescriptor lent(file.get());
  const auto begin =
      call_page_.page->begin(*stop_, {CallPage::Task::kFetchAndMap, arguments, lent.mark()}, false);
  if (!begin) {
    call_page_.loans->cancel(call_page_.unique);
    return false;
  }
  call_page_.loans->keep(call_page_.unique, std::move(file), lent);
  stop_->leave_at(*begin);
  return true;
}

RemoteSpace::Mapped RemoteSpace::map_descriptor(int fd, CallArguments arguments, bool may_be_left) {
  const LentDescriptor lent(fd);
  for (int losses = 0; losses < kMostLosses; ++losses) {
    const Result<int> number = lend_and_hold(lent);
    if (!number) {
      install_page(false);
      if (number.error() == Errno(EMFILE)) break;
      return refused(number.error());
    }
    arguments[kMmapDescriptor] = static_cast<std::uint64_t>(*number);
    const auto mapped = map_and_close(lent, arguments, may_be_left && !page_number_);
    install_page(mapped && *mapped && !is_error_result(**mapped));
    if (mapped || mapped.error() != kLost) return mapped;
    spdlog::debug("thread {}: its process closed a descriptor of ours", call_.tid());
  }
  // A table of our own cannot be full, nor does anybody close what is in it.
  const auto mapped = BorrowedTable(*stop_, abi_, call_.listener(), expected_).map(fd, arguments);
  if (!mapped) return mapped.error();
  return std::optional(*mapped);
}

RemoteSpace::Mapped RemoteSpace::map_and_close(const LentDescriptor& lent,
                                               const CallArguments& arguments, bool may_be_left) {
  if (has_page() && !call_page_.page->overlaps({arguments[0], arguments[1]})) {
    call_page_.misses->store(CallPageUse::kUsed, std::memory_order_relaxed);
    const auto ran = run_page({CallPage::Task::kMap, arguments, lent.mark()}, may_be_left);
    if (ran && !*ran) return std::optional<std::int64_t>();
    if (ran) return finish_mapping(lent, arguments, **ran);
    if (ran.error() != Errno(EAGAIN)) return ran.error();
  }
  const auto mapped = stop_->call(abi_, RemoteCall::kMmap, arguments);
  if (!mapped) return mapped.error();
  return finish_mapping(lent, arguments, {.result = *mapped});
}

RemoteSpace::Mapped RemoteSpace::finish_mapping(const LentDescriptor& lent,
                                                const CallArguments& arguments,
                                                const CallPage::Progress& progress) {
  if (progress.lost) return kLost;
  if (!progress.closed) {
    const std::uint64_t number = arguments[kMmapDescriptor];
    const auto ours = lent.identify(call_.tid(), static_cast<int>(number));
    if (!ours.value_or(false)) {
      // What it mapped may be somebody else's file.
      if (!is_error_result(progress.result)) {
        const AddressRange range{static_cast<std::uint64_t>(progress.result), arguments[1]};
        if (const auto unmapped = shmvisor::unmap(*stop_, abi_, range); !unmapped)
          return unmapped.error();
      }
      return ours ? kLost : Errno(ENOMEM);
    }
    if (const auto closed = close_in_caller(number); !closed) return closed.error();
  }
  if (!answers_mmap(progress.result, arguments)) return Errno(EACCES);
  return std::optional(progress.result);
}

Result<std::optional<CallPage::Progress>> RemoteSpace::run_page(const CallPage::Work& work,
                                                                bool may_be_left) {
  const CallPage& page = *call_page_.page;
  const bool leave = may_be_left && can_leave();
  const auto begin = page.begin(*stop_, work, !leave);
  if (!begin) return Errno(EAGAIN);
  if (leave) {
    stop_->leave_at(*begin);
    return std::optional<CallPage::Progress>();
  }
  const auto end = stop_->run(*begin);
  if (!end) return end.error();
  const auto progress = page.progress(*stop_, *begin, *end);
  if (progress && progress->at_end && !progress->lost) {
    page.leave_end(*stop_, *begin);
  } else {
    CallPage::leave_slot(*stop_, *begin);
  }
  if (!progress) return progress.error();
  return std::optional(*progress);
}

bool RemoteSpace::can_leave() { return call_page_.may_leave && stop_->can_be_left(features_); }

Result<void> RemoteSpace::close_in_caller(std::uint64_t number) {
  const auto closed = stop_->call(abi_, RemoteCall::kClose, {number});
  if (!closed) return closed.error();
  return {};
}

void RemoteSpace::lend_page() {
  const CallPage* const page = call_page_.page;
  if (page == nullptr) return;
  const int misses = std::max(call_page_.misses->load(std::memory_order_relaxed), 0);
  if (misses != INT_MAX) call_page_.misses->store(misses + 1, std::memory_order_relaxed);
  if (!CallPage::is_due(misses)) return;
  const auto status = TaskStatus::read(call_.tid());
  if (!status || status->seccomp_filters != page->filters_of_callers()) return;
  const auto lent = page->file().lend(call_.listener(), call_.id(), call_.tid());
  if (lent) page_number_ = *lent;
}

void RemoteSpace::install_page(bool wanted) {
  const auto number = std::exchange(page_number_, std::nullopt);
  if (!number || stop_ == nullptr) return;
  const CallPage& page = *call_page_.page;
  const CallArguments mapping = page.mapping(*number);
  const CallArguments slots = page.mapping_of_slots(*number);
  const auto mapped = wanted ? stop_->call(abi_, RemoteCall::kMmap, mapping) : Errno(ECANCELED);
  // Where its place is taken the caller goes on without, and what is there stays as it is.
  const bool there = mapped && static_cast<std::uint64_t>(*mapped) == mapping[0];
  if (there) {
    // After mlockall(MCL_FUTURE) it would count for RLIMIT_MEMLOCK.
    (void)stop_->call(abi_, RemoteCall::kMmap, slots);
    (void)stop_->call(abi_, RemoteCall::kMunlock, {mapping[0], mapping[1] + slots[1]});
  }
  if (page.file().identify(call_.tid(), *number).value_or(false)) {
    (void)close_in_caller(static_cast<std::uint64_t>(*number));
    if (there) call_page_.misses->store(CallPageUse::kUsed, std::memory_order_relaxed);
  } else if (there) {
    // Another thread may have closed it, and what is mapped may be any file.
    (void)shmvisor::unmap(*stop_, abi_, {mapping[0], mapping[1] + slots[1]});
  }
}

Result<int> RemoteSpace::lend_and_hold(const LentDescriptor& lent) {
  if (stop_ != nullptr) return RepeatedCall(call_, *stop_, expected_).lend(lent);
  if (!waits_killably()) {
    if (const auto taken = take_over(); !taken) return taken.error();
    return RepeatedCall(call_, *stop_, expected_).lend(lent);
  }
  auto stop = attach();
  if (!stop) return stop.error();
  if (const auto asked = stop->interrupt(); !asked) return asked.error();
  lend_page();
  const Result<int> number = lent.lend(call_.listener(), call_.id(), call_.tid());
  if (!leave_notification()) return Errno(ESRCH);
  if (const auto held = hold(std::move(*stop)); !held) return held.error();
  if (!number && number.error() != Errno(EMFILE)) return Errno(ENOMEM);
  return number;
}

Result<MappingSpace::Outcome> RemoteSpace::do_unmap(const AddressRange& range, bool may_be_left) {
  if (stop_ == nullptr) {
    if (const auto stopped = stop(); !stopped) return refused(stopped.error());
  }
  if (has_page()) {
    const auto ran =
        run_page({CallPage::Task::kUnmap, {range.start, range.length}, 0}, may_be_left);
    if (ran && !*ran) return Outcome::kLeft;
    if (ran && (*ran)->result < 0) return Errno(static_cast<int>(-(*ran)->result));
    if (ran) return Outcome::kDone;
    if (ran.error() != Errno(EAGAIN)) return ran.error();
  }
  const auto unmapped = shmvisor::unmap(*stop_, abi_, range);
  if (!unmapped) return unmapped.error();
  unmapped_by_step_ = true;
  return Outcome::kDone;
}

Result<void> RemoteSpace::do_finish_unmapping() {
  if (stop_ == nullptr || !std::exchange(unmapped_by_step_, false)) return {};
  // The stop at the end of a call comes before the kernel closes what the call let go of
  // (____fput() is task work); that at the beginning of the next one comes after. This one does
  // nothing: EINVAL.
  const auto entered = stop_->call(abi_, RemoteCall::kMunmap, {0, 0});
  if (!entered) return entered.error();
  return {};
}

Result<std::optional<MappedArea>> RemoteSpace::do_area_above(std::uint64_t address) {
  if (!map_) {
    auto map = MemoryMap::open(call_.tid(), features_);
    if (!map) return map.error();
    if (!call_.alive()) return Errno(ESRCH);
    map_.emplace(std::move(*map));
  }
  return map_->area_above(address, Areas::kShared);
}

Result<AreaLimits> RemoteSpace::do_limits_of(const MappedArea& area) {
  const auto limits = area_limits(call_.tid(), area);
  if (!call_.alive()) return Errno(ESRCH);
  return limits;
}

Result<std::uint64_t> RemoteSpace::translate(std::int64_t mapped, const MapRequest& request) {
  if (!is_error_result(mapped)) return static_cast<std::uint64_t>(mapped);
  const int error = static_cast<int>(-mapped);
  if (request.placement != Placement::kExact) return Errno(error);
  // MAP_FIXED_NOREPLACE says EEXIST where do_shmat() says EINVAL, and looks for the end of the
  // address space first, where do_shmat() looks for an overlap first.
  if (error == EEXIST) return Errno(EINVAL);
  if (error == ENOMEM && anything_mapped({request.address, request.length_bytes})) {
    return Errno(EINVAL);
  }
  return Errno(error);
}

bool RemoteSpace::anything_mapped(const AddressRange& range) {
  auto map = MemoryMap::open(call_.tid(), features_);
  if (!map) return false;
  const auto area = map->area_above(range.start, Areas::kAll);
  return area && *area && (*area)->range.overlaps(range);
}

Result<PtraceStop> RemoteSpace::attach() {
  return attach_to_caller(call_, expected_, tracer_wait_, pin_);
}

Errno RemoteSpace::refused(Errno error) {
  if (error == Errno(EACCES)) access_warnings_.warn_of(call_.tid());
  if (error == Errno(EAGAIN)) {
    static std::atomic_flag told;
    if (!told.test_and_set()) {
      spdlog::warn(
          "thread {} cannot be stopped: an execve(2) of its process, or a freezer, keeps it",
          call_.tid());
    }
  }
  return error;
}

Result<void> RemoteSpace::stop() {
  if (!waits_killably()) return take_over();
  auto stop = attach();
  if (!stop) return stop.error();
  if (const auto asked = stop->interrupt(); !asked) return asked.error();
  if (!leave_notification()) return Errno(ESRCH);
  return hold(std::move(*stop));
}

Result<void> RemoteSpace::take_over() {
  auto attached = attach();
  if (!attached) return attached.error();
  if (const auto asked = attached->interrupt(); !asked) return asked.error();
  if (call_.listener().wait_kind() == WaitKind::kUnknown) observe_wait();
  // Whatever was seen of the filter: what one caller shows of its wait it may have made up, and one
  // that signals do not end would wait for ever.
  const bool answered = leave_notification();
  if (const auto stopped = wait_for(*attached); !stopped) return stopped.error();
  if (!attached->is_in(call_.data())) return Errno(ESRCH);
  const std::int64_t found = attached->found_result(abi_);
  if (found == kRepeatOrder) {
    call_.listener().learn(WaitKind::kInterruptible);
  } else if (!answered || found != kCallAgain) {
    return Errno(ESRCH);
  }
  keep(std::move(*attached));
  return {};
}

void RemoteSpace::observe_wait() {
  // In the state that signals do not end a task shows as 'D' ever after we interrupted it. One that
  // was woken shows so only for as long as it waits for the lock of the notification, which
  // asking for the notification takes and gives back.
  for (int looks = 0; looks < kEnoughLooks; ++looks) {
    const auto stat = ProcessStat::read(call_.tid());
    if (!stat || stat->state != 'D' || !call_.alive()) return;
  }
  call_.listener().learn(WaitKind::kKillable);
}

void RemoteSpace::secure_answer() {
  tracer_wait_.patience = nullptr;
  if (stop_ == nullptr && !waits_killably()) (void)take_over();
}

void RemoteSpace::restore_signal_mask() {
  if (!stop()) return;
  const auto mask = CallPage::kept_signal_mask(*stop_);
  if (mask) stop_->set_signal_mask_then(*mask);
}

bool RemoteSpace::leave_notification() {
  return call_.listener().respond(call_.id(), kCallAgain).ok();
}

Result<void> RemoteSpace::hold(PtraceStop stop) {
  keep(std::move(stop));
  return wait_for(*stop_);
}

Result<void> RemoteSpace::wait_for(PtraceStop& stop) {
  return stop.wait_until_stopped([this] { expected_.let_another_receive(); });
}

void RemoteSpace::keep(PtraceStop stop) {
  auto route = std::make_unique<StopRoute>(std::move(stop));
  stop_ = &route->stop();
  call_.reroute(std::move(route));
}

}  // namespace shmvisor
