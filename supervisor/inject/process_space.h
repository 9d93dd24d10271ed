// ProcessSpace: the MappingSpace of any process that we serve, whatever it is doing.
//
// Looking needs nothing. The first change stops one of its threads, wherever that is (PtraceStop),
// and makes it run mmap(2) and munmap(2) at an instruction of its own (find_call_site()); a call
// that it was blocked in is taken up again, unseen, when it is let go with this object. For the
// descriptor that mmap needs it makes one of our calls, which is answered with it (ExpectedCalls).
//
// Errors besides mmap(2)'s: EAGAIN where the thread did not stop in time: one that waits for its
// vfork child or for the answer to a call of ours, or one in a frozen cgroup. Another may; see
// invalidate_in_process(). EACCES where it may not be traced, ESRCH where it has ended.
// Thread rule: one thread, which ends soon after an EAGAIN.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>

#include "emulation/memmap/mapping_space.h"
#include "supervisor/attaches/memory_map.h"
#include "supervisor/inject/lent_descriptor.h"
#include "supervisor/inject/ptrace_stop.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

/// What serves the processes concerned.
struct InjectResources {
  Listener& listener;
  ExpectedCalls& expected;
  KernelFeatures& features;
};

class ProcessSpace : public MappingSpace {
 public:
  /// `tid`: the thread that is to make the changes. It is given `patience` to stop.
  ProcessSpace(pid_t tid, std::chrono::milliseconds patience, const InjectResources& resources)
      : tid_(tid), patience_(patience), resources_(resources) {}

 private:
  Result<std::optional<std::uint64_t>> do_map(const MapRequest& request, BackingFile file) override;
  Result<Outcome> do_unmap(const AddressRange& range, bool may_be_left) override;
  /// What it unmaps is closed when the thread goes on.
  Result<void> do_finish_unmapping() override { return {}; }
  Result<std::optional<MappedArea>> do_area_above(std::uint64_t address) override;
  Result<AreaLimits> do_limits_of(const MappedArea& area) override;

  /// Stops the thread, unless it is stopped already.
  Result<void> hold();
  Result<void> stop();
  Result<PtraceStop> attach();
  /// Whether it is in a critical section of rseq(2), which a change of its registers would spoil.
  [[nodiscard]] bool in_critical_section() const;
  Result<std::int64_t> map_descriptor(int fd, const MapRequest& request);
  Result<int> install(const LentDescriptor& lent);

  const pid_t tid_;
  const std::chrono::milliseconds patience_;
  const InjectResources resources_;
  std::optional<MemoryMap> map_;
  std::optional<PtraceStop> stop_;
};

/// MappingSpace::invalidate() in a process that need not be in a call. Its threads are tried in
/// turn, each for longer than the one before, about twenty seconds in all. EAGAIN where none stops.
Result<std::uint64_t> invalidate_in_process(pid_t pid, const Invalidation& stale,
                                            const InjectResources& resources);

}  // namespace shmvisor
