#include "supervisor/inject/arch/page_code.h"

#include <sys/syscall.h>

#include <cstring>

#include "emulation/abi/pages.h"
#include "policy/filter/filter_program.h"
#include "supervisor/inject/arch/x86/page_slot.h"

// The code changes no flags, as system calls do not. rcx and r11 are any system call's to change;
// it leaves the return address in rcx, as `syscall` does.
__asm__(R"(
        .pushsection .rodata
        .balign 16
        .hidden call_page_begin, call_page_fetch, call_page_fetched
        .hidden call_page_map, call_page_mapped, call_page_closed
        .hidden call_page_unmap, call_page_unmapped, call_page_tell, call_page_told
        .hidden call_page_forbidden, call_page_failed, call_page_finish, call_page_mask_refused
        .hidden call_page_end
        .globl call_page_begin, call_page_fetch, call_page_fetched
        .globl call_page_map, call_page_mapped, call_page_closed
        .globl call_page_unmap, call_page_unmapped, call_page_tell, call_page_told
        .globl call_page_forbidden, call_page_failed, call_page_finish, call_page_mask_refused
        .globl call_page_end

        .set slot_rbx, 0
        .set slot_result, 8
        .set slot_rip, 16
        .set slot_rdi, 24
        .set slot_rsi, 32
        .set slot_rdx, 40
        .set slot_r10, 48
        .set slot_r8, 56
        .set slot_r9, 64
        .set slot_signal_mask, 72
        .set slot_number, 80
        .set slot_descriptor, 88
        .set slot_mark, 96
        .set slot_length, 104
        .set slot_tells, 112

call_page_begin:
call_page_fetch:
        mov     slot_number(%rbx), %eax
        syscall                         # the caller's own call: answered with the descriptor
call_page_fetched:
        mov     %rax, slot_descriptor(%rbx)
        mov     %rax, slot_result(%rbx)
        mov     %rax, %r8
        mov     slot_result+4(%rbx), %ecx
        jrcxz   .Lfetched
        jmp     call_page_tell          # an errno, negated
.Lfetched:
        mov     $9, %eax
call_page_map:
        syscall                         # mmap
call_page_mapped:
        mov     %rax, slot_result(%rbx)
        mov     slot_descriptor(%rbx), %rdi
        mov     $0, %esi
        mov     $1, %edx                # SEEK_CUR
        mov     $8, %eax
        syscall                         # lseek: says whether the descriptor still was ours
        not     %rax
        mov     slot_mark(%rbx), %rcx
        lea     1(%rcx, %rax), %rcx
        jrcxz   .Lclose

        movq    $-1, slot_descriptor(%rbx)
        mov     slot_result(%rbx), %rdi
        mov     %rdi, %rcx
        mov     $-9, %rdx               # EBADF
        mov     %rdx, slot_result(%rbx)
        lea     (, %rcx, 8), %ecx       # An errno, negated, has some of the lowest 12 bits, which
        lea     (%rcx, %rcx), %ecx      # no address has. They are moved up to be the highest of 16.
        movzwl  %cx, %ecx
        jrcxz   .Lgive_up
        jmp     call_page_tell
.Lgive_up:
        mov     slot_length(%rbx), %rsi
        mov     $11, %eax
        syscall                         # munmap
        jmp     call_page_tell

.Lclose:
        mov     $3, %eax
        syscall                         # close
call_page_closed:
        jmp     call_page_tell

call_page_unmap:
        syscall                         # munmap
call_page_unmapped:
        mov     %rax, slot_result(%rbx)

call_page_tell:
        mov     slot_tells(%rbx), %rcx
        jrcxz   .Lreturn
        # The caller's own call, shmat or shmdt, so that no filter of its own objects.
        mov     slot_number(%rbx), %eax
        movabs  $0x8f3a5c719ad3c0de, %rdi
        syscall
call_page_told:
        lea     38(%rax), %rcx          # ENOSYS, negated: we are dead, and nobody traces
        jrcxz   .Lreturn
        lea     22(%rax), %rcx          # EINVAL: we died just now, and the kernel made the call
        jrcxz   .Lreturn
call_page_forbidden:
        ud2                             # some filter objects all the same

.Lreturn:
        mov     slot_result(%rbx), %ecx
        lea     (, %rcx, 8), %ecx
        lea     (%rcx, %rcx), %ecx
        movzwl  %cx, %ecx
        jrcxz   call_page_finish
        mov     slot_rdi(%rbx), %rdi
        mov     slot_rsi(%rbx), %rsi
        mov     slot_rdx(%rbx), %rdx
        mov     slot_number(%rbx), %eax
        syscall                         # the caller's own call, answered in full this time
call_page_failed:
        mov     %rax, slot_result(%rbx)

call_page_finish:
        mov     $14, %eax
        mov     $2, %edi                # SIG_SETMASK
        lea     slot_signal_mask(%rbx), %rsi
        mov     $0, %edx
        mov     $8, %r10d
        syscall                         # rt_sigprocmask
        mov     %eax, %ecx
        jrcxz   .Lrestore
        mov     slot_number(%rbx), %eax
        mov     $-1, %rdi               # no identifier, no address
        syscall                         # the caller's own call again, to say so
call_page_mask_refused:

.Lrestore:
        mov     slot_rdi(%rbx), %rdi
        mov     slot_rsi(%rbx), %rsi
        mov     slot_rdx(%rbx), %rdx
        mov     slot_r10(%rbx), %r10
        mov     slot_r8(%rbx), %r8
        mov     slot_r9(%rbx), %r9
        mov     slot_result(%rbx), %rax
        mov     slot_rip(%rbx), %rcx
        xchg    %rbx, slot_rbx(%rbx)    # its own address: the slot is free
        jmp     *%rcx
call_page_end:
        .popsection
)");

extern "C" {
#define SHMVISOR_LABEL(name) extern const std::uint8_t name[] __attribute__((visibility("hidden")))
SHMVISOR_LABEL(call_page_begin);
SHMVISOR_LABEL(call_page_fetch);
SHMVISOR_LABEL(call_page_fetched);
SHMVISOR_LABEL(call_page_map);
SHMVISOR_LABEL(call_page_mapped);
SHMVISOR_LABEL(call_page_closed);
SHMVISOR_LABEL(call_page_unmap);
SHMVISOR_LABEL(call_page_unmapped);
SHMVISOR_LABEL(call_page_tell);
SHMVISOR_LABEL(call_page_told);
SHMVISOR_LABEL(call_page_forbidden);
SHMVISOR_LABEL(call_page_failed);
SHMVISOR_LABEL(call_page_finish);
SHMVISOR_LABEL(call_page_mask_refused);
SHMVISOR_LABEL(call_page_end);
#undef SHMVISOR_LABEL
}

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
              offsetof(PageSlot, tells) == 112);
static_assert(sizeof(PageSlot) <= page_code::kSlotBytes);

namespace {

constexpr std::size_t kLengthArgument = 1;
constexpr std::size_t kDescriptorArgument = 4;

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
