// RemoteSpace: the MappingSpace of a real caller, changed by running mmap(2) and munmap(2) in it.
//
// The first change takes the caller out of its notification and holds it in a ptrace-stop
// (PtraceStop); the call's answer is then delivered there (PendingCall::reroute). Its notification
// is answered with the order to make the call again, which the caller finds only if we die.
// The descriptor that mmap needs is put into the caller's table by the kernel, close-on-exec, and
// closed again in the same stop. Where another thread of the caller's closes it meanwhile, mapping
// is tried anew (LentDescriptor). A caller whose table is full, or whose threads close whatever is
// there, gets it through a short-lived process that shares its memory but not its table
// (BorrowedTable).
//
// Where the filter lacks WAIT_KILLABLE_RECV, or may lack it (Listener::wait_kind), asking the
// caller to stop ends its notification, and no answer through one is sure to arrive. So there the
// stop comes first: a caller that is found on its way out of this very call, with the kernel's
// order to repeat it for a result, is held and given its result instead. It gets the descriptor by
// making the call once more, which a serving thread receives and hands over (RepeatedCall). A
// caller that is found elsewhere is let go untouched: its call comes again, or its handler runs. So
// is one that is stopped and continued so often that it cannot be handed the descriptor.
//
// A caller that has the CallPage runs that, in fewer stops.
//
// Errors besides mmap(2)'s: EACCES where the caller cannot be traced. ESRCH where it died or is no
// longer in the call.
// Thread rule: the thread that received the call.
#pragma once

#include <memory>
#include <optional>

#include "emulation/memmap/mapping_space.h"
#include "supervisor/attaches/memory_map.h"
#include "supervisor/inject/call_page.h"
#include "supervisor/inject/cpu_pin.h"
#include "supervisor/inject/lent_descriptor.h"
#include "supervisor/inject/ptrace_stop.h"
#include "supervisor/inject/tracer_patience.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/pending_call.h"
#include "supervisor/scope/access_warnings.h"

namespace shmvisor {

class RemoteSpace : public MappingSpace {
 public:
  RemoteSpace(PendingCall& call, ExpectedCalls& expected, KernelFeatures& features,
              AccessWarnings& refusals, CallPageUse call_page = {},
              const TracerWait& tracer_wait = {})
      : call_(call),
        abi_(call.raw().abi),
        expected_(expected),
        features_(features),
        access_warnings_(refusals),
        call_page_(abi_ == page_code::abi() ? call_page : CallPageUse()),
        tracer_wait_(tracer_wait) {}

  /// For a call that is to change something: makes sure, by taking the caller over, that no signal
  /// keeps its answer from it. Does nothing where that is sure anyway, and where the caller cannot
  /// be traced or does not stop in time.
  void secure_answer();
  [[nodiscard]] bool answer_is_secure() const { return stop_ != nullptr || waits_killably(); }

  /// For a call by which the call page says that it could not do this: gives the caller its signal
  /// mask back, once it has its answer.
  void restore_signal_mask();

 private:
  class StopRoute;

  Result<std::optional<std::uint64_t>> do_map(const MapRequest& request, BackingFile file) override;
  Result<Outcome> do_unmap(const AddressRange& range, bool may_be_left) override;
  Result<void> do_finish_unmapping() override;
  Result<std::optional<MappedArea>> do_area_above(std::uint64_t address) override;
  Result<AreaLimits> do_limits_of(const MappedArea& area) override;

  /// What mmap(2) answers; nothing where the caller is left to it.
  using Mapped = Result<std::optional<std::int64_t>>;
  /// That the descriptor was closed, or is another file's now: by another thread of the caller.
  static constexpr Errno kLost{EBADF};

  /// Whether the caller may well be left to fetch what it is to map.
  [[nodiscard]] bool may_fetch() const;
  /// False where it cannot be, after all: it is held, and `file` is as it was.
  Result<bool> leave_to_fetch(UniqueFd& file, const std::array<std::uint64_t, 6>& arguments);
  Mapped map_descriptor(int fd, std::array<std::uint64_t, 6> arguments, bool may_be_left);
  /// mmap(2) and close(2) in the held caller. Error: kLost.
  Mapped map_and_close(const LentDescriptor& lent, const std::array<std::uint64_t, 6>& arguments,
                       bool may_be_left);
  /// What is left to do of these.
  Mapped finish_mapping(const LentDescriptor& lent, const std::array<std::uint64_t, 6>& arguments,
                        const CallPage::Progress& progress);
  /// Lets the call page do it: how far it came; nothing where the caller is left to it. EAGAIN
  /// where it did nothing.
  Result<std::optional<CallPage::Progress>> run_page(const CallPage::Work& work, bool may_be_left);
  Result<void> close_in_caller(std::uint64_t number);
  /// Lends the waiting caller the call page as page_number_, if it is to get it now.
  void lend_page();
  /// Maps it.
  void install_page(bool wanted);
  /// Whether the held caller can be left to the page's code.
  [[nodiscard]] bool can_leave();
  [[nodiscard]] bool has_page() {
    return call_page_.page != nullptr && call_page_.page->is_in(*stop_);
  }
  /// Lends the caller a descriptor, and holds the caller in a stop. EMFILE where its table is full:
  /// it is held all the same.
  Result<int> lend_and_hold(const LentDescriptor& lent);
  Result<void> stop();
  /// Holds the caller without trusting its notification.
  Result<void> take_over();
  void observe_wait();
  /// EACCES where we may not, or somebody else traces it and does not leave.
  Result<PtraceStop> attach();
  /// Says why, where the caller is out of reach.
  Errno refused(Errno error);
  /// Answers the notification so that the caller gets out of it, into our stop. Only where that
  /// succeeds is the thread that we seized the caller: its tid may have gone to a thread that
  /// execs.
  bool leave_notification();
  Result<void> hold(PtraceStop stop);
  /// That it stops. Where it takes its time another thread receives meanwhile.
  Result<void> wait_for(PtraceStop& stop);
  /// From now on answers go through `stop`.
  void keep(PtraceStop stop);
  [[nodiscard]] bool waits_killably() const {
    return call_.listener().wait_kind() == WaitKind::kKillable;
  }
  Result<std::uint64_t> translate(std::int64_t mapped, const MapRequest& request);
  bool anything_mapped(const AddressRange& range);

  PendingCall& call_;
  const Abi abi_;
  ExpectedCalls& expected_;
  KernelFeatures& features_;
  AccessWarnings& access_warnings_;
  const CallPageUse call_page_;
  /// Not while an answer is being secured: others wait for that.
  TracerWait tracer_wait_;
  /// The caller's, for a moment, where it is to get the call page.
  std::optional<int> page_number_;
  std::optional<CpuPin> pin_;
  /// Owned by the pending call once the caller is stopped.
  PtraceStop* stop_ = nullptr;
  std::optional<MemoryMap> map_;
  /// The caller has unmapped something and not been back in its program since.
  bool unmapped_by_step_ = false;
};

}  // namespace shmvisor
