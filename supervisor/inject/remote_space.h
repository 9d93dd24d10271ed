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
              const TracerWait& tracer_wait = {}, std::uint64_t caller = 0)
      : call_(call),
        abi_(call.raw().abi),
        features_(features),
        hold_(call, expected, access_warnings, tracer_wait, caller),
        page_(abi_ == page_code::abi() ? call_page : CallPageUse(), features) {
    if (CallSlots* const slots = call.listener().slots()) {
      earlier_ = slots->take_up(call.notification(), caller);
      if (earlier_.note != nullptr) take_up_earlier();
    }
  }

  /// See CallerHold.
  void secure_answer() { hold_.secure_answer(); }
  [[nodiscard]] bool answer_is_secure() const { return hold_.answer_is_secure(); }

  /// For a call by which the call page says that it could not do this: gives the caller its signal
  /// mask back, once it has its answer.
  void restore_signal_mask();

 private:
  Result<std::optional<std::uint64_t>> do_map(const MapRequest& request, BackingFile file) override;
  Result<Outcome> do_unmap(const AddressRange& range, bool caller_may_complete) override;
  Result<void> do_finish_unmapping() override;
  Result<std::optional<MappedArea>> do_area_above(std::uint64_t address) override;
  std::optional<FileIdentity> do_unmapped_before() override;

  Result<std::optional<MappedArea>> look_above(std::uint64_t address);
  /// The address that mmap(2) answered, or shmat(2)'s errno for mmap(2)'s.
  Result<std::uint64_t> translate(std::int64_t mapped, const MapRequest& request);
  bool anything_mapped(const AddressRange& range);
  /// The call was served before, by a server that died: gives its caller the signal mask that it
  /// had, and takes back the descriptors that it was lent.
  void take_up_earlier();
  /// It was in service at so many deaths that it is refused.
  [[nodiscard]] bool is_refused() const { return earlier_.deaths >= CallSlots::kMostDeaths; }
  /// Where that server had `file` mapped; nothing where it had not, or it is not there any more.
  std::optional<std::uint64_t> mapped_before(const MapRequest& request, const BackingFile& file);

  PendingCall& call_;
  const Abi abi_;
  KernelFeatures& features_;
  CallerHold hold_;
  const PageRunner page_;
  std::optional<MemoryMap> map_;
  CallSlots::Earlier earlier_;
  /// The caller has unmapped something and not been back in its program since.
  bool unmapped_by_step_ = false;
};

}  // namespace shmvisor
