#include "supervisor/inject/arch/page_code.h"

#include <sys/syscall.h>

#include <cstring>

#include "emulation/abi/pages.h"
#include "policy/filter/filter_program.h"
#include "supervisor/inject/arch/x86/page_assembly.h"
#include "supervisor/inject/arch/x86/page_slot.h"

namespace shmvisor {

using x86::PageSlot;

static_assert(kTracedArgument == 0x8f3a5c719ad3c0de);
static_assert(SYS_mmap == 9 && SYS_close == 3 && SYS_lseek == 8 && SYS_munmap == 11 &&
              SYS_rt_sigprocmask == 14);
static_assert(offsetof(PageSlot, rbx) == 0 && offsetof(PageSlot, result) == 8 &&
              offsetof(PageSlot, rip) == 16 && offsetof(PageSlot, rdi) == 24 &&
              offsetof(PageSlot, rsi) == 32 && offsetof(PageSlot, rdx) == 40 &&
              offsetof(PageSlot, r10) == 48 && offsetof(PageSlot, r8) == 56 &&
              offsetof(PageSlot, r9) == 64 && offsetof(PageSlot, signal_mask) == 72 &&
              offsetof(PageSlot, number) == 80 && offsetof(PageSlot, descriptor) == 88 &&
              offsetof(PageSlot, mark) == 96 && offsetof(PageSlot, length) == 104 &&
              offsetof(PageSlot, tells) == 112 && offsetof(PageSlot, address) == 120 &&
              offsetof(PageSlot, protection) == 128 && offsetof(PageSlot, flags) == 136 &&
              offsetof(PageSlot, task) == 144 && offsetof(PageSlot, free) == 152);
static_assert(static_cast<std::uint64_t>(x86::SiteTask::kMap) == 1);
static_assert(sizeof(PageSlot) <= page_code::kSlotBytes && page_code::kSlotBytes == 192);
static_assert(page_code::kSlotsOfSupervisor == 8 && page_code::kSlotsOfSites == 13 &&
              (page_code::kSlotsOfSupervisor + page_code::kSlotsOfSites) * page_code::kSlotBytes <=
                  kPageBytes);

namespace {

constexpr std::size_t kAddressArgument = 0;
constexpr std::size_t kLengthArgument = 1;
constexpr std::size_t kProtectionArgument = 2;
constexpr std::size_t kFlagsArgument = 3;
constexpr std::size_t kDescriptorArgument = 4;
/// r10's.
constexpr std::size_t kSlotArgument = 3;

std::size_t offset_of(const std::uint8_t* label) {
  return static_cast<std::size_t>(label - call_page_begin);
}

RemoteCall first_call(page_code::Task task) {
  return task == page_code::Task::kUnmap ? RemoteCall::kMunmap : RemoteCall::kMmap;
}

}  // namespace

std::size_t x86::tell() { return offset_of(call_page_tell); }

namespace page_code {

Abi abi() { return Abi::kX86_64; }

AddressRange places() {
  // Below position-independent programs (ELF_ET_DYN_BASE, two thirds of the address space), above
  // all others.
  return {0x2000'0000'0000U, 0x3000'0000'0000U};
}

std::span<const std::uint8_t> bytes() { return {call_page_begin, offset_of(call_page_end)}; }

std::uint8_t filler() { return 0xcc; }  // int3

Slot slot_for(const Registers& thread, std::uint64_t signal_mask, const Work& work, bool tells) {
  const user_regs_struct& raw = thread.raw();
  PageSlot kept{};
  kept.rbx = raw.rbx;
  kept.rip = raw.rip;
  kept.rdi = raw.rdi;
  kept.rsi = raw.rsi;
  kept.rdx = raw.rdx;
  kept.r10 = raw.r10;
  kept.r8 = raw.r8;
  kept.r9 = raw.r9;
  kept.signal_mask = signal_mask;
  kept.number = raw.orig_rax;
  kept.descriptor = work.arguments.at(kDescriptorArgument);
  kept.mark = work.mark;
  kept.length = work.arguments.at(kLengthArgument);
  kept.tells = tells ? 1 : 0;
  Slot slot{};
  std::memcpy(slot.data(), &kept, sizeof(kept));
  return slot;
}

std::size_t result_in_slot() { return offsetof(PageSlot, result); }
std::size_t descriptor_in_slot() { return offsetof(PageSlot, descriptor); }
std::size_t signal_mask_in_slot() { return offsetof(PageSlot, signal_mask); }

std::uint64_t slot_of(const Registers& running) { return running.raw().rbx; }

std::uint64_t slot_said_by(const seccomp_data& call) { return call.args[kSlotArgument]; }

Order order_for(const Work& work) {
  constexpr std::uint64_t kDoesNotTell = 0;
  const auto task = work.task == Task::kUnmap ? x86::SiteTask::kUnmap : x86::SiteTask::kMap;
  return {offsetof(PageSlot, mark),
          {work.mark, work.arguments.at(kLengthArgument), kDoesNotTell,
           work.arguments.at(kAddressArgument), work.arguments.at(kProtectionArgument),
           work.arguments.at(kFlagsArgument), static_cast<std::uint64_t>(task)}};
}

std::size_t free_in_slot() { return offsetof(PageSlot, free); }

Registers begin(const Registers& thread, std::uint64_t page, std::uint64_t slot, const Work& work) {
  user_regs_struct raw = thread.entering(Abi::kX86_64, first_call(work.task), work.arguments).raw();
  raw.rip = page + entry(work.task);
  raw.rbx = slot;
  return Registers(raw);
}

Registers finish(const Registers& thread, std::uint64_t page, std::uint64_t slot) {
  user_regs_struct raw = thread.returning(0).raw();
  raw.rip = page + offset_of(call_page_finish);
  raw.rbx = slot;
  return Registers(raw);
}

bool first_call_refused(const Registers& begin, const Registers& now) {
  return now.raw().rax == begin.raw().rax;
}

std::size_t entry(Task task) {
  switch (task) {
    case Task::kFetchAndMap:
      return offset_of(call_page_fetch);
    case Task::kUnmap:
      return offset_of(call_page_unmap);
    case Task::kMap:
      return offset_of(call_page_map);
  }
  __builtin_unreachable();
}

std::size_t site_entry(Task task) {
  return offset_of(task == Task::kUnmap ? call_page_site_detach : call_page_site_attach);
}
std::size_t asked() { return offset_of(call_page_asked); }
std::size_t fetched() { return offset_of(call_page_fetched); }
std::size_t mapped() { return offset_of(call_page_mapped); }
std::size_t closed() { return offset_of(call_page_closed); }
std::size_t unmapped() { return offset_of(call_page_unmapped); }
std::size_t told() { return offset_of(call_page_told); }
std::size_t forbidden() { return offset_of(call_page_forbidden); }
std::size_t failed() { return offset_of(call_page_failed); }
std::size_t mask_refused() { return offset_of(call_page_mask_refused); }

}  // namespace page_code
}  // namespace shmvisor
