#include "supervisor/inject/process_space.h"

#include <sys/ptrace.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "policy/base/error_result.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/inject/borrowed_table.h"
#include "supervisor/inject/call_site.h"
#include "supervisor/inject/kick_timer.h"
#include "supervisor/inject/mmap_call.h"
#include "supervisor/inject/tracer_patience.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/procfs/process_stat.h"

namespace shmvisor {
namespace {

constexpr int kMostTries = 50;
constexpr std::chrono::milliseconds kBetweenTries(1);
/// A tracer of ours may be gone before we look whether there is one.
constexpr int kEnoughRefusals = 3;

}  // namespace

Result<std::optional<std::uint64_t>> ProcessSpace::do_map(const MapRequest& request,
                                                          BackingFile file) {
  if (const auto held = hold(); !held) return held.error();
  const auto mapped = map_descriptor(file.fd.get(), request);
  file.fd.reset();  // only the mapping shall count for in_use()
  if (!mapped) return mapped.error();
  if (is_error_result(*mapped)) return Errno(static_cast<int>(-*mapped));
  const auto address = static_cast<std::uint64_t>(*mapped);
  if (request.lock == LockMode::kLazy) {
    const auto locked = lock_lazily(*stop_, stop_->abi(), {address, request.length_bytes});
    if (!locked) return locked.error();
  }
  return std::optional(address);
}

Result<std::int64_t> ProcessSpace::map_descriptor(int fd, const MapRequest& request) {
  const Abi abi = stop_->abi();
  CallArguments arguments = mmap_arguments(request, abi);
  const LentDescriptor lent(fd);
  const Result<int> installed = install(lent);
  if (!installed && installed.error() == Errno(EMFILE)) {
    return BorrowedTable(*stop_, abi, resources_.listener, resources_.expected).map(fd, arguments);
  }
  if (!installed) return installed.error();
  arguments[kMmapDescriptor] = static_cast<std::uint64_t>(*installed);
  const auto mapped = stop_->call(abi, RemoteCall::kMmap, arguments);
  if (!mapped) return mapped.error();
  if (!lent.is_at(tid_, *installed).value_or(false)) {
    // Another thread closed it, and what is mapped may be any file.
    if (!is_error_result(*mapped)) {
      (void)shmvisor::unmap(*stop_, abi,
                            {static_cast<std::uint64_t>(*mapped), request.length_bytes});
    }
    return Errno(EAGAIN);
  }
  const auto closed =
      stop_->call(abi, RemoteCall::kClose, {static_cast<std::uint64_t>(*installed)});
  if (!closed) return closed.error();
  return *mapped;
}

Result<int> ProcessSpace::install(const LentDescriptor& lent) {
  resources_.expected.expect(tid_);
  const bool parked = stop_->begin_call(stop_->abi(), RemoteCall::kShmdt, {1});
  const auto id = resources_.expected.await(tid_);
  if (!parked) return Errno(ESRCH);
  if (!id) {
    // Nobody heard it. Its wait ends with this, or with the end of whoever did receive it.
    if (!stop_->call_is_over()) (void)stop_->interrupt();
    (void)stop_->finish_call(stop_->abi());
    return Errno(EAGAIN);
  }
  const Result<int> installed = lent.lend(resources_.listener, *id, tid_);
  (void)resources_.listener.respond(*id, kCallAgain);
  if (const auto finished = stop_->finish_call(stop_->abi()); !finished) return finished.error();
  if (!installed && installed.error() == Errno(ENOENT)) return Errno(EAGAIN);  // by a SIGSTOP
  return installed;
}

Result<MappingSpace::Outcome> ProcessSpace::do_unmap(const AddressRange& range,
                                                     bool /*may_be_left*/) {
  if (const auto held = hold(); !held) return held.error();
  const auto unmapped = shmvisor::unmap(*stop_, stop_->abi(), range);
  if (!unmapped) return unmapped.error();
  return Outcome::kDone;
}

Result<std::optional<MappedArea>> ProcessSpace::do_area_above(std::uint64_t address) {
  if (!map_ || address == 0) {
    auto map = MemoryMap::open(tid_, resources_.features);
    if (!map) return map.error();
    map_.emplace(std::move(*map));
  }
  return map_->area_above(address, Areas::kShared);
}

Result<AreaLimits> ProcessSpace::do_limits_of(const MappedArea& area) {
  return area_limits(tid_, area);
}

Result<void> ProcessSpace::hold() {
  if (stop_) return {};
  for (int tries = 0;; ++tries) {
    if (const auto stopped = stop(); !stopped) return stopped.error();
    if (!in_critical_section()) break;
    stop_.reset();  // the kernel now restarts the section, and forgets it once it is left
    if (tries >= kMostTries) return Errno(EAGAIN);
    std::this_thread::sleep_for(kBetweenTries);
  }
  const auto site = find_call_site(tid_, stop_->abi(), resources_.features);
  if (!site) {
    stop_.reset();
    return site.error();
  }
  stop_->enter_at(*site);
  return {};
}

Result<PtraceStop> ProcessSpace::attach() {
  const auto deadline = std::chrono::steady_clock::now() + patience_;
  for (int refusals = 0;;) {
    auto stop = reach(tid_, kToTrace, [this] { return PtraceStop::seize(tid_); });
    if (stop || stop.error() != Errno(EPERM)) return stop;
    if (tracer_of(tid_).is_ours) {
      // A call of its is being served.
      if (std::chrono::steady_clock::now() >= deadline) return Errno(EAGAIN);
    } else {
      const auto stat = ProcessStat::read(tid_);
      if (!stat || stat->state == 'Z' || stat->state == 'X') return Errno(ESRCH);
      if (++refusals == kEnoughRefusals) return Errno(EACCES);
    }
    std::this_thread::sleep_for(kBetweenTries);
  }
}

Result<void> ProcessSpace::stop() {
  auto attached = attach();
  if (!attached) return attached.error();
  stop_.emplace(std::move(*attached));
  const auto stopped = stop_->stop_within(patience_);
  if (!stopped) stop_.reset();
  return stopped;
}

bool ProcessSpace::in_critical_section() const {
  struct {
    std::uint64_t area;
    std::uint32_t size;
    std::uint32_t signature;
    std::uint32_t flags;
    std::uint32_t padding;
  } registered{};
  constexpr auto kGetRseqConfiguration = static_cast<__ptrace_request>(0x420f);  // Linux 5.13
  if (::ptrace(kGetRseqConfiguration, tid_, reinterpret_cast<void*>(sizeof(registered)),
               &registered) < 0 ||
      registered.area == 0) {
    return false;
  }
  constexpr std::uint64_t kSectionOffset = 8;  // rseq_cs of struct rseq
  const auto memory = reach_proc_file(tid_, "mem");
  std::uint64_t section = 0;
  return memory &&
         ::pread(memory->get(), &section, sizeof(section),
                 static_cast<off_t>(registered.area + kSectionOffset)) == sizeof(section) &&
         section != 0;
}

Result<std::uint64_t> invalidate_in_process(pid_t pid, const Invalidation& stale,
                                            const InjectResources& resources) {
  constexpr std::chrono::milliseconds kFirstPatience(20);
  constexpr std::chrono::milliseconds kMostPatience(1000);
  constexpr int kMostAttempts = 15;
  Result<std::uint64_t> changed = Errno(ESRCH);
  auto patience = kFirstPatience;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    const std::vector<int> tids = numbered_entries(proc_path(pid, "task"));
    if (tids.empty()) return Errno(ESRCH);
    const pid_t tid = tids[static_cast<std::size_t>(attempt) % tids.size()];
    // A thread of its own, whose end lets go of what did not stop.
    std::thread tracer([&] {
      KickTimer::allow_on_this_thread();
      changed = ProcessSpace(tid, patience, resources).invalidate(stale);
    });
    tracer.join();
    const bool another_may = !changed && (changed.error() == Errno(EAGAIN) ||
                                          (changed.error() == Errno(ESRCH) && tids.size() > 1));
    if (!another_may) return changed;
    // Whoever serves a call of that thread waits for it too, and must find it free for a while.
    std::this_thread::sleep_for(patience);
    patience = std::min(2 * patience, kMostPatience);
  }
  return changed;
}

}  // namespace shmvisor
