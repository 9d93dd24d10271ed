#include "supervisor/inject/call_page_code.h"

#include <sys/syscall.h>

#include "policy/filter_program.h"

// The code that is left alone changes no flags, as system calls do not. rcx and r11 are any system
// call's to change; it leaves the return address in rcx, as `syscall` does.
__asm__(R"(
        .pushsection .rodata
        .balign 16
        .hidden call_page_begin, call_page_map, call_page_kept, call_page_closed
        .hidden call_page_unmap, call_page_trapped, call_page_left_map, call_page_left_unmap
        .hidden call_page_failed, call_page_mask_refused, call_page_end
        .globl call_page_begin, call_page_map, call_page_kept, call_page_closed
        .globl call_page_unmap, call_page_trapped, call_page_left_map, call_page_left_unmap
        .globl call_page_failed, call_page_mask_refused, call_page_end

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

call_page_begin:
call_page_map:
        syscall                         # mmap
        mov     %r8, %rdi               # its descriptor
        mov     %rax, %r8
call_page_kept:
        mov     $3, %eax
        syscall                         # close
call_page_closed:
        mov     $30, %eax
        jmp     .Ltrap

call_page_unmap:
        syscall                         # munmap
        mov     %rax, %r8
        mov     $67, %eax
        # The caller's own call, shmat or shmdt, so that no filter of its own objects.
.Ltrap: movabs  $0x8f3a5c719ad3c0de, %rdi
        syscall
call_page_trapped:
        ud2                             # Some filter objects all the same; or we are dead, and
                                        # nobody restores the registers.

call_page_left_map:
        syscall                         # mmap
        mov     %rax, slot_result(%rbx)
        mov     %r8, %rdi               # its descriptor
        mov     $3, %eax
        syscall                         # close
        mov     slot_result(%rbx), %ecx
        lea     (, %rcx, 8), %ecx       # An errno, negated, has some of the lowest 12 bits, which
        lea     (%rcx, %rcx), %ecx      # no address has. They are moved up to be the highest of 16.
        movzwl  %cx, %ecx
        jrcxz   .Ldone
        jmp     .Lagain

call_page_left_unmap:
        syscall                         # munmap
        mov     %rax, slot_result(%rbx)
        mov     %eax, %ecx
        jrcxz   .Ldone

.Lagain: mov    slot_rdi(%rbx), %rdi
        mov     slot_rsi(%rbx), %rsi
        mov     slot_rdx(%rbx), %rdx
        mov     slot_number(%rbx), %eax
        syscall                         # the caller's own call, answered in full this time
call_page_failed:
        mov     %rax, slot_result(%rbx)

.Ldone: mov     $14, %eax
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
SHMVISOR_LABEL(call_page_map);
SHMVISOR_LABEL(call_page_kept);
SHMVISOR_LABEL(call_page_closed);
SHMVISOR_LABEL(call_page_unmap);
SHMVISOR_LABEL(call_page_trapped);
SHMVISOR_LABEL(call_page_left_map);
SHMVISOR_LABEL(call_page_left_unmap);
SHMVISOR_LABEL(call_page_failed);
SHMVISOR_LABEL(call_page_mask_refused);
SHMVISOR_LABEL(call_page_end);
#undef SHMVISOR_LABEL
}

namespace shmvisor::page_code {
namespace {

static_assert(kTracedArgument == 0x8f3a5c719ad3c0de);
static_assert(SYS_close == 3 && SYS_rt_sigprocmask == 14 && SYS_shmat == 30 && SYS_shmdt == 67);
static_assert(offsetof(Slot, rbx) == 0 && offsetof(Slot, result) == 8 &&
              offsetof(Slot, rip) == 16 && offsetof(Slot, rdi) == 24 && offsetof(Slot, rsi) == 32 &&
              offsetof(Slot, rdx) == 40 && offsetof(Slot, r10) == 48 && offsetof(Slot, r8) == 56 &&
              offsetof(Slot, r9) == 64 && offsetof(Slot, signal_mask) == 72 &&
              offsetof(Slot, number) == 80);

std::size_t offset_of(const std::uint8_t* label) {
  return static_cast<std::size_t>(label - call_page_begin);
}

}  // namespace

std::span<const std::uint8_t> bytes() { return {call_page_begin, offset_of(call_page_end)}; }

std::size_t map() { return offset_of(call_page_map); }
std::size_t kept() { return offset_of(call_page_kept); }
std::size_t closed() { return offset_of(call_page_closed); }
std::size_t unmap() { return offset_of(call_page_unmap); }
std::size_t trapped() { return offset_of(call_page_trapped); }
std::size_t left_map() { return offset_of(call_page_left_map); }
std::size_t left_unmap() { return offset_of(call_page_left_unmap); }
std::size_t failed() { return offset_of(call_page_failed); }
std::size_t mask_refused() { return offset_of(call_page_mask_refused); }

}  // namespace shmvisor::page_code
