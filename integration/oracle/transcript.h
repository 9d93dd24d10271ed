// What the oracle programs share: the four calls made raw, and lines of a transcript.
//
// Every program prints what it sees in an order and in words that are the same on each run: no
// address, process id or time, and an identifier only where the kernel's choice is determined.
// The same binary runs natively and supervised, and the two transcripts are compared.
#ifndef SHMVISOR_INTEGRATION_ORACLE_TRANSCRIPT_H_
#define SHMVISOR_INTEGRATION_ORACLE_TRANSCRIPT_H_

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

// Of the kernel that the program runs on, and the largest of any.
#define PAGE page_bytes()
#define LARGEST_PAGE 65536ul
unsigned long page_bytes(void);

// The calls as the kernel takes them: glibc's wrappers refuse some arguments by themselves.
long shm_get(key_t key, unsigned long size, int flags);
long shm_at(int id, const void* address, int flags);
long shm_dt(const void* address);
long shm_ctl(int id, int command, void* buffer);

// One line of the transcript, flushed at once, so that it survives _exit and SIGKILL.
void say(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Prints "text = ok" or "text = ERRNO" and returns `result`; errno must still be that of the call.
long report(const char* text, long result);
// The same with a number in place of "ok".
long report_value(const char* text, long result);
long reportf(long result, const char* format, ...) __attribute__((format(printf, 2, 3)));

// The expression is its own label.
#define TRY(expression) report(#expression, (long)(expression))
#define TRY_VALUE(expression) report_value(#expression, (long)(expression))

// Fields of a segment; a failing IPC_STAT ends the program.
struct shmid_ds stat_of(int id);
unsigned long nattch_of(int id);
// The same, once it is `wanted` or ten seconds have passed. On any kernel an address space lives
// on, when its process has ended or executed another program, for as long as somebody else on the
// machine reads its maps in /proc.
unsigned long nattch_settled(int id, unsigned long wanted);
// SHM_INFO; a failing call ends the program.
struct shm_info info_now(void);
// used_ids, once it is 0 or ten seconds have passed: what served a call that was cut off, by
// SIGKILL or where waits are interruptible by any signal, may hold a removed segment's memory a
// moment more.
int segments_settled(void);
// A segment of its own (IPC_PRIVATE, mode 0600) and its attach at an address of the kernel's
// choice; end the program on failure.
int new_segment(unsigned long size);
char* attach(int id);
// size bytes of address space that nothing occupies (it did a moment ago). They begin at a multiple
// of 16 KiB, to which SHM_RND rounds for programs of 32-bit Arm.
char* free_range(unsigned long size);

// Runs body in a forked child and waits for it; says how it ended when that was not exit status 0.
void in_child(void (*body)(void*), void* argument);
void say_end(const char* who, int wait_status);

// Changes the calling (single-threaded) process: capabilities is a mask of 1 << CAP_*; what is not
// in it is dropped from the permitted and effective sets.
struct identity {
  const char* name;
  uid_t uid;
  gid_t gid;
  size_t group_count;
  gid_t groups[4];
  uint64_t capabilities;
};
void become(const struct identity* identity);

// Installs a seccomp filter that says `action` of that call, and lets all others be made.
long filter_call(unsigned number, unsigned flags, unsigned action);

// A pair of pipes between a parent and its child, to take turns.
struct turns {
  int to_child[2];
  int to_parent[2];
};
struct turns make_turns(void);
void signal_child(const struct turns* turns);
void signal_parent(const struct turns* turns);
void await_child(const struct turns* turns);
void await_parent(const struct turns* turns);

_Noreturn void die(const char* what);

#endif  // SHMVISOR_INTEGRATION_ORACLE_TRANSCRIPT_H_
