// RemoteSpace: the MappingSpace of a real caller, changed by running mmap(2) and munmap(2) in it.
//
// The first change takes the caller out of its notification and holds it in a ptrace-stop
// (CallerHold). The descriptor that mmap needs is put into the caller's table by the kernel,
// close-on-exec, and closed again in the same stop; see mapping_ways.h for what else there is.
//
// Errors besides mmap(2)'s: EACCES where the caller cannot be traced. ESRCH where it died or is no
// longer in the call.
// Thread rule: the thread that received the call.
#pragma once

#include <optional>

#include "emulation/memmap/mapping_space.h"
#include "supervisor/attaches/memory_map.h"
#include "supervisor/inject/call_page.h"
#include "supervisor/inject/caller_hold.h"
#include "supervisor/inject/page_runner.h"
#include "supervisor/inject/tracer_patience.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/pending_call.h"
#include "supervisor/scope/access_warnings.h"

namespace shmvisor {

class RemoteSpace : public MappingSpace {
 public:
  RemoteSpace(PendingCall& call, ExpectedCalls& expected, KernelFeatures& features,
              AccessWarnings& access_warnings, const CallPageUse& call_page = {},
              const TracerWait& tracer_wait = {})
      : call_(call),
        abi_(call.raw().abi),
        features_(features),
        hold_(call, expected, access_warnings, tracer_wait),
        page_(abi_ == page_code::abi() ? call_page : CallPageUse(), features) {}

  /// See CallerHold.
  void secure_answer() { hold_.secure_answer(); }
  [[nodiscard]] bool answer_is_secure() const { return hold_.answer_is_secure(); }
  [[nodiscard]] bool is_out_of_reach() const { return hold_.is_out_of_reach(); }

  /// For a call by which the call page says that it could not do this: gives the caller its signal
  /// mask back, once it has its answer.
  void restore_signal_mask();

 private:
  Result<std::optional<std::uint64_t>> do_map(const MapRequest& request, BackingFile file) override;
  Result<Outcome> do_unmap(const AddressRange& range, bool caller_may_complete) override;
  Result<void> do_finish_unmapping() override;
  Result<std::optional<MappedArea>> do_area_above(std::uint64_t address) override;

  /// The address that mmap(2) answered, or shmat(2)'s errno for mmap(2)'s.
  Result<std::uint64_t> translate(std::int64_t mapped, const MapRequest& request);
  bool anything_mapped(const AddressRange& range);

  PendingCall& call_;
  const Abi abi_;
  KernelFeatures& features_;
  CallerHold hold_;
  const PageRunner page_;
  std::optional<MemoryMap> map_;
  /// The caller has unmapped something and not been back in its program since.
  bool unmapped_by_step_ = false;
};

}  // namespace shmvisor
