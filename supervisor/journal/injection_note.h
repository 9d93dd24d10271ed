// InjectionNote: what a server is doing in a caller that it holds in a ptrace-stop, kept in the
// slot of the call, for the next server should this one die.
//
// When a tracer dies the kernel lets its tracees go on, with the registers that they have. A caller
// that is held has those of its own call, to be made again; so it comes back, and its call is found
// to be the noted one (CallSlots::take_up()). While it is to run a call of ours (kStepping), or has
// its result (kReleasing), a SIGSTOP waits for it, which takes effect only if nobody is there to
// drop it: so it stops before it is back in its program, and the next server looks at what it has
// (inject/left_injection.h).
//
// Each member is stored by the thread that serves the call, before what it announces happens.
// Thread rule: that thread; later, in the next server, whoever took the slot up.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace shmvisor::journal {

struct InjectionNote {
  enum Phase : std::uint32_t {
    kNone = 0,       ///< nothing was changed that a repeated call would not find as it was
    kRepeating = 1,  ///< it has the registers of its own call, to be made again
    kStepping = 2,   ///< it may have those of `call`, or have its result
    kReleasing = 3,  ///< it may have the result of its own call, or go on to it by itself
  };
  static constexpr std::uint32_t kGuarded = 1;  ///< a SIGSTOP may wait for it, or have stopped it
  static constexpr std::uint32_t kBlocked = 2;  ///< its signal mask is not `signal_mask`

  /// What a call of ours is for, and what was done: it is not to be done again.
  enum Deed : std::uint32_t { kNothing = 0, kMap = 1, kUnmap = 2, kUndo = 3 };

  std::atomic<std::uint32_t> phase;
  std::atomic<std::uint32_t> flags;
  std::atomic<std::uint32_t> done;
  std::atomic<std::uint32_t> intended;  ///< of the call that runs
  std::atomic<std::uint32_t> call;      ///< its number
  std::uint32_t zero;
  std::atomic<std::uint64_t> mark;     ///< of the descriptor that it was lent; 0: none
  std::atomic<std::uint64_t> address;  ///< what was mapped, or unmapped
  std::atomic<std::uint64_t> length;
  std::atomic<std::uint64_t> device;  ///< the file that was mapped there
  std::atomic<std::uint64_t> inode;
  std::atomic<std::uint64_t> caller;  ///< its ThreadIdentity::unique()
  std::uint64_t signal_mask;
  std::array<std::byte, 320> registers;  ///< as the tracer found them

  [[nodiscard]] bool has(std::uint32_t flag) const { return (flags.load() & flag) != 0; }
  void set(std::uint32_t flag) { flags.fetch_or(flag); }
  void clear(std::uint32_t flag) { flags.fetch_and(~flag); }
  /// Whether a repeated call has to know of it.
  [[nodiscard]] bool says_anything() const { return phase.load() != kNone || mark.load() != 0; }
  /// The call `deed` begins; or has had no error.
  void intend(Deed deed) { intended.store(deed); }
  void succeeded(std::uint64_t result) {
    const std::uint32_t deed = intended.load();
    if (deed == kMap) address.store(result);
    if (deed != kNothing) done.store(deed == kUndo ? kNothing : deed);
    intended.store(kNothing);
  }
  void forget() {
    phase.store(kNone, std::memory_order_relaxed);
    mark.store(0, std::memory_order_relaxed);
    done.store(kNothing, std::memory_order_relaxed);
    intended.store(kNothing, std::memory_order_relaxed);
    flags.store(0, std::memory_order_relaxed);
  }
  void copy_from(const InjectionNote& other) {
    flags.store(other.flags.load());
    done.store(other.done.load());
    intended.store(other.intended.load());
    call.store(other.call.load());
    address.store(other.address.load());
    length.store(other.length.load());
    device.store(other.device.load());
    inode.store(other.inode.load());
    caller.store(other.caller.load());
    signal_mask = other.signal_mask;
    registers = other.registers;
    mark.store(other.mark.load());
    phase.store(other.phase.load());
  }
};
static_assert(sizeof(InjectionNote) == 400);

}  // namespace shmvisor::journal
