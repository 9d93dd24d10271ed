// RemoteSpace: the MappingSpace of a real caller, changed by running mmap(2) and munmap(2) in it.
//
// The first change takes the caller out of its notification and holds it in a ptrace-stop
// (PtraceStop); the call's answer is then delivered there (PendingCall::reroute). The descriptor
// that mmap needs is put into the caller's table by the kernel, close-on-exec, and closed again in
// the same stop. A caller whose table is full gets it through a short-lived process that shares its
// memory but not its table (BorrowedTable).
//
// Errors besides mmap(2)'s: EACCES where the caller cannot be traced. ESRCH where it died.
// Thread rule: the thread that received the call.
#pragma once

#include <memory>
#include <optional>

#include "emulation/memmap/mapping_space.h"
#include "supervisor/inject/cpu_pin.h"
#include "supervisor/inject/ptrace_stop.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/pending_call.h"
#include "supervisor/process/memory_map.h"
#include "supervisor/process/refusals.h"

namespace shmvisor {

class RemoteSpace : public MappingSpace {
 public:
  RemoteSpace(PendingCall& call, ExpectedCalls& expected, KernelFeatures& features,
              Refusals& refusals)
      : call_(call),
        abi_(call.raw().abi),
        expected_(expected),
        features_(features),
        refusals_(refusals) {}

  Result<std::uint64_t> map(const MapRequest& request, BackingFile file) override;
  Result<void> unmap(const AddressRange& range) override;
  Result<std::optional<MappedArea>> area_above(std::uint64_t address) override;

 private:
  class StopRoute;

  Result<std::int64_t> map_with_own_table(int fd, std::array<std::uint64_t, 6> arguments);
  Result<void> stop();
  Result<PtraceStop> seize();
  /// Answers the notification so that the caller gets out of it, into our stop. Only where that
  /// succeeds is the thread that we seized the caller: its tid may have gone to a thread that
  /// execs.
  bool leave_notification();
  Result<void> hold(PtraceStop stop);
  Result<std::uint64_t> translate(std::int64_t mapped, const MapRequest& request);
  bool anything_mapped(const AddressRange& range);

  PendingCall& call_;
  const Abi abi_;
  ExpectedCalls& expected_;
  KernelFeatures& features_;
  Refusals& refusals_;
  std::optional<CpuPin> pin_;
  /// Owned by the pending call once the caller is stopped.
  PtraceStop* stop_ = nullptr;
  std::optional<MemoryMap> map_;
};

}  // namespace shmvisor
