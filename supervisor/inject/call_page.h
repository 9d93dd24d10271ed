// CallPage: a page of code that a held caller runs for us, several system calls without a stop in
// between.
//
// Mapping a segment takes an mmap(2) and a close(2) of the caller. Run one at a time
// (StoppedThread::call) these are four stops, on the way in and out of each, besides the first. The
// page's code makes both, and sees in between whether the descriptor was ours (LentDescriptor). It
// then gives the thread back its signal mask and registers and returns from the call. So
// - the caller completes its call by itself, with its signals blocked, and nobody waits. The code
//   first fetches the descriptor by a call (Loans). Where mmap(2) fails, or the descriptor was
//   lost, the code makes the caller's own call again, and returns its answer. That one is made in
//   the other way, for its result must be known; or
// - the code stops once before that: by a call that the filter answers with SECCOMP_RET_TRACE
//   (kTracedArgument), which nobody but the tracer hears of. This is for attaches whose result we
//   must know, and for callers that may not run untraced (StoppedThread::may_run_untraced).
// Should we be killed, at whatever moment, the code goes on to its end: nothing stays blocked, and
// what failed is the kernel's to answer.
// Unmapping saves stops likewise.
//
// The page is a sealed memfd, the same for all callers of a run, mapped shared, to be read and
// executed, at an address that is drawn once a run. So it is remembered of no process whether it
// has the page: a signature says whether it is there, after whatever fork, exec or munmap. A caller
// that attaches often gets it (PageInstaller). Calls are run one at a time where the page cannot be
// had (the address is taken, memfds may not be executed, the code is not for the caller's ABI),
// where the filter is somebody else's, and where the caller has a filter besides ours, which may
// kill it for mapping code.
//
// What is to be given back lies in a second page behind the first, the caller's own (mapped
// private), in one of a few slots (arch/page_code.h). Taking back the register that points to the
// slot frees the slot, in one instruction. The stack is not used: a thread may have more of its
// memory right below it than a red zone. A signal that comes while the registers are being given
// back is handled there and then; a handler that does not return keeps the slot.
//
// A hostile caller can put other code there. It runs that with its own rights, as it could anyway,
// and what it says that mmap(2) answered, if mmap(2) could, is what its shmat answers. It can block
// in the kernel there, and so keep the serving thread for as long as it lives.
//
// Ownership: owns the memfd. Thread rule: any thread.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>

#include "emulation/memmap/address_range.h"
#include "policy/base/unique_fd.h"
#include "supervisor/credentials/thread_identity.h"
#include "supervisor/inject/arch/page_code.h"
#include "supervisor/inject/kept_call_page.h"
#include "supervisor/inject/lent_descriptor.h"
#include "supervisor/inject/loans.h"
#include "supervisor/inject/stopped_thread.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

class CallPage {
 public:
  /// A thread gets it with the attach that follows so many without it; or twice as many, and so on,
  /// where it could not have it.
  static constexpr int kMissesBefore = 4;
  [[nodiscard]] static constexpr bool is_due(int misses) {
    return misses != 0 && misses % kMissesBefore == 0 &&
           std::has_single_bit(static_cast<unsigned>(misses / kMissesBefore));
  }

  /// Null where this machine has no executable memfds.
  static std::unique_ptr<CallPage> create(KernelFeatures& features);

  /// The page that is made next is noted there, or is the one that is noted there already.
  static void keep_in(KeptCallPage& kept) { kept_ = &kept; }
  [[nodiscard]] static const KeptCallPage* kept() { return kept_; }
  /// Whether this build makes the same page: callers have that one, and it speaks to us.
  [[nodiscard]] static bool knows(const KeptCallPage& kept);

  [[nodiscard]] const LentDescriptor& file() const { return file_; }
  /// mmap(2)'s arguments that put it into a caller, which has it as descriptor `fd`.
  [[nodiscard]] std::array<std::uint64_t, 6> mapping(int fd) const;
  /// The same for the slots.
  [[nodiscard]] std::array<std::uint64_t, 6> mapping_of_slots(int fd) const;
  /// Whether the held thread has it.
  [[nodiscard]] bool is_in(StoppedThread& thread) const;
  /// Whether its place, or that of the slots, is within `range`, which its code must not replace.
  [[nodiscard]] bool overlaps(const AddressRange& range) const;

  using Task = page_code::Task;
  using Work = page_code::Work;
  /// Fills a slot with what the held thread is to get back, and answers the registers with which it
  /// begins. `tells`: it is to stop at its end. Nothing where the thread has no free slot.
  [[nodiscard]] std::optional<Registers> begin(StoppedThread& thread, const Work& work,
                                               bool tells) const;

  struct Progress {
    std::int64_t result = 0;  ///< of mmap(2) or munmap(2): a value, or an errno negated
    bool lost = false;        ///< the descriptor was somebody else's; what it mapped is gone again
    bool closed = false;
    bool at_end = false;
  };
  /// How far a thread came that began with `begin` and has stopped with `now`. To the end of the
  /// code, unless it was stopped in the middle: because the caller unmaps the page just then, say.
  /// Errors: EAGAIN where the code has done nothing yet; EACCES where the thread is somewhere else.
  [[nodiscard]] Result<Progress> progress(const StoppedThread& thread, const Registers& begin,
                                          const Registers& now) const;
  /// Once the thread is let go the code gives back what it keeps, and returns the thread's result.
  /// Precondition: its progress was at_end.
  void return_by_code(StoppedThread& thread, const Registers& begin) const;
  /// The code is not to go on: once the thread is let go the slot is free.
  static void free_slot(StoppedThread& thread, const Registers& begin);

  /// What a call means that the page's code makes.
  enum class Message : std::uint8_t {
    kNone,         ///< it is somebody else's
    kSite,         ///< it begins a call: the caller's own call site led there (CallFromSite)
    kFetch,        ///< it asks for the descriptor that it is to map: Loans
    kFailed,       ///< the thread could not complete its call: it makes that call again
    kMaskRefused,  ///< a filter of its own refused to give it back its signal mask
  };
  [[nodiscard]] Message message(const seccomp_data& call) const;
  /// Of a caller in a kSite; nothing where it has not taken a slot.
  [[nodiscard]] std::optional<std::uint64_t> slot_of_site(const seccomp_data& call) const;
  /// What that caller, the thread `tid`, is to do once its call is answered. Errors: EFAULT where
  /// the caller has no memory there; EPERM where we may not write it.
  [[nodiscard]] static Result<void> tell_in_slot(pid_t tid, std::uint64_t slot, const Work& work);

  /// Where call sites are to lead.
  [[nodiscard]] std::uint64_t site_entry(Task task) const {
    return address_ + page_code::site_entry(task);
  }
  /// Pages that are ours have it in their memory.
  [[nodiscard]] std::uint64_t signature() const { return signature_; }
  /// For call_site::place_of_stubs(): one after the other, where a place is taken.
  [[nodiscard]] const std::array<std::uint64_t, 3>& drawn_for_stubs() const {
    return drawn_for_stubs_;
  }
  /// Of a thread held in such a call.
  [[nodiscard]] static std::optional<std::uint64_t> kept_signal_mask(const StoppedThread& thread);

  /// How many seccomp filters a caller has that has none of its own.
  [[nodiscard]] std::uint64_t filters_of_callers() const { return filters_of_callers_; }

 private:
  CallPage(UniqueFd fd, std::uint64_t address, std::uint64_t signature,
           const std::array<std::uint64_t, 3>& drawn_for_stubs, std::uint64_t filters_of_callers)
      : fd_(std::move(fd)),
        file_(fd_.get()),
        address_(address),
        signature_(signature),
        drawn_for_stubs_(drawn_for_stubs),
        filters_of_callers_(filters_of_callers) {}

  static inline KeptCallPage* kept_ = nullptr;

  [[nodiscard]] std::uint64_t slot_address(std::size_t slot) const;
  const UniqueFd fd_;
  const LentDescriptor file_;  ///< for all callers
  const std::uint64_t address_;
  const std::uint64_t signature_;
  const std::array<std::uint64_t, 3> drawn_for_stubs_;
  const std::uint64_t filters_of_callers_;
  /// Slots that one of our threads looks at now, of whatever caller: two that serve threads of one
  /// process must not take the same one.
  mutable std::atomic<std::uint32_t> claimed_slots_{0};
};

/// What a caller has to do with the page, if anything.
struct CallPageUse {
  const CallPage* page = nullptr;
  /// How often the calling thread attached without it; kUsed where it has it, as far as we know.
  std::atomic<int>* misses = nullptr;
  /// Whether its caller may complete a call by itself: it can be undone where that fails.
  bool caller_may_complete = false;
  /// From which it can fetch descriptors, and its number there (ThreadIdentity::unique()).
  Loans* loans = nullptr;
  std::uint64_t unique = 0;
  uid_t user = 0;  ///< whom they are counted for
  /// Of the calling thread; null: its call sites stay as they are.
  SiteCalls* site_calls = nullptr;

  static constexpr int kUsed = -1;
  [[nodiscard]] bool used() const { return misses->load(std::memory_order_relaxed) == kUsed; }
};

}  // namespace shmvisor
