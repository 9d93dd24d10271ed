// The CallPage's code for x86-64, in assembly, and its labels. Included by page_code.cc alone,
// which says what the labels are.
//
// Thread rule: constants.
#pragma once

#include <cstdint>

// The code changes no flags, as system calls do not. rcx and r11 are any system call's to change;
// it leaves the return address in rcx, as `syscall` does.
__asm__(R"(
        .pushsection .rodata
        .balign 16
        .hidden call_page_begin, call_page_fetch, call_page_fetched
        .hidden call_page_map, call_page_mapped, call_page_closed
        .hidden call_page_unmap, call_page_unmapped, call_page_tell, call_page_told
        .hidden call_page_forbidden, call_page_failed, call_page_finish, call_page_mask_refused
        .hidden call_page_site_attach, call_page_site_detach, call_page_asked, call_page_end
        .globl call_page_begin, call_page_fetch, call_page_fetched
        .globl call_page_map, call_page_mapped, call_page_closed
        .globl call_page_unmap, call_page_unmapped, call_page_tell, call_page_told
        .globl call_page_forbidden, call_page_failed, call_page_finish, call_page_mask_refused
        .globl call_page_site_attach, call_page_site_detach, call_page_asked, call_page_end

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
        .set slot_address, 120
        .set slot_protection, 128
        .set slot_flags, 136
        .set slot_task, 144
        .set slot_free, 152
        .set slot_bytes, 192
        .set slots_of_supervisor, 8
        .set slots_of_sites, 13

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
        mov     %rbx, %r11
        xchg    %rbx, slot_rbx(%rbx)    # its own address: the slot is free
        movq    $1, slot_free(%r11)     # the same, of a slot that callers take
        jmp     *%rcx

        # The rest is of callers that come from their own call sites, with the return address in rcx.
call_page_site_attach:
        mov     $30, %eax
        jmp     .Ltake
call_page_site_detach:
        mov     $67, %eax
.Ltake:
        mov     %rcx, %r11
        .set    slot_at, 4096 + slots_of_supervisor * slot_bytes
        .rept   slots_of_sites
        mov     $0, %ecx
        xchg    %rcx, call_page_begin + slot_at + slot_free(%rip)
        jrcxz   1f
        mov     %rbx, call_page_begin + slot_at + slot_rbx(%rip)
        lea     call_page_begin + slot_at(%rip), %rbx
        jmp     .Ltaken
1:
        .set    slot_at, slot_at + slot_bytes
        .endr
        lea     -2(%r11), %rcx          # none is free: the call is made where it was
        jmp     *%rcx

.Ltaken:
        mov     %r11, slot_rip(%rbx)
        mov     %rdi, slot_rdi(%rbx)
        mov     %rsi, slot_rsi(%rbx)
        mov     %rdx, slot_rdx(%rbx)
        mov     %r10, slot_r10(%rbx)
        mov     %r8, slot_r8(%rbx)
        mov     %r9, slot_r9(%rbx)
        mov     %rax, slot_number(%rbx)
        movq    $0, slot_task(%rbx)
        mov     $14, %eax
        mov     $0, %edi                # SIG_BLOCK
        mov     $0, %esi                # nothing
        lea     slot_signal_mask(%rbx), %rdx
        mov     $8, %r10d
        syscall                         # rt_sigprocmask, which leaves the flags in r11
        mov     %r11, %rcx
        movzbl  %ch, %ecx               # The trap flag is the lowest bit of this byte. It is moved
        lea     (, %rcx, 8), %ecx       # up by 15 to be the highest of 16.
        lea     (, %rcx, 8), %ecx
        lea     (, %rcx, 8), %ecx
        lea     (, %rcx, 8), %ecx
        lea     (, %rcx, 8), %ecx
        movzwl  %cx, %ecx
        lea     .Lsignals(%rip), %rsi
        jrcxz   .Lblock
        lea     8(%rsi), %rsi
.Lblock:
        mov     $14, %eax
        syscall                         # rt_sigprocmask
        mov     %eax, %ecx
        mov     slot_rdi(%rbx), %rdi
        mov     slot_rsi(%rbx), %rsi
        mov     slot_rdx(%rbx), %rdx
        mov     slot_number(%rbx), %eax
        jrcxz   .Lask
        mov     slot_r10(%rbx), %r10    # a filter of the program's own refuses
        mov     slot_rip(%rbx), %rcx
        lea     -2(%rcx), %rcx
        mov     %rbx, %r11
        mov     slot_rbx(%rbx), %rbx
        movq    $1, slot_free(%r11)
        jmp     *%rcx
.Lask:
        mov     %rbx, %r10              # which neither call looks at
        syscall                         # the caller's own call
call_page_asked:
        mov     %rax, slot_result(%rbx)
        mov     slot_task(%rbx), %rcx
        jrcxz   .Lanswered
        mov     slot_address(%rbx), %rdi
        mov     slot_length(%rbx), %rsi
        lea     -1(%rcx), %rcx
        jrcxz   .Lmap
        mov     %eax, %ecx
        jrcxz   .Lunmap
.Lanswered:
        jmp     call_page_finish
.Lunmap:
        mov     $11, %eax
        jmp     call_page_unmap
.Lmap:
        mov     slot_protection(%rbx), %rdx
        mov     slot_flags(%rbx), %r10
        mov     $0, %r9d
        jmp     call_page_fetched

        .balign 8
.Lsignals:                              # all but SIGSYS, which a filter may raise here
        .quad   ~(1 << 30)
        .quad   ~((1 << 4) | (1 << 30)) # for who steps: a SIGTRAP that is blocked is never handled
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
SHMVISOR_LABEL(call_page_site_attach);
SHMVISOR_LABEL(call_page_site_detach);
SHMVISOR_LABEL(call_page_asked);
SHMVISOR_LABEL(call_page_end);
#undef SHMVISOR_LABEL
}
