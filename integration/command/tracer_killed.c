// What Linux does with a thread whose tracer is killed while the thread runs a system call for it,
// as shmvisor has callers do that do not have its call page: the thread goes on at once, with the
// registers of that call and its result, and no other process can catch it. So either the thread
// dies with its tracer (PTRACE_O_EXITKILL), or it goes on wrongly. This is the reason of a row of
// the table of limits, and fails if a kernel finds a better way.
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kUnchanged = 10, kChanged = 11, kEnteringInstructionBytes = 2 };

static int fail(const char* what) {
  perror(what);
  return 1;
}

/// Waits in read(2) of `pipe_end`, and says whether the call kept its arguments.
static int be_traced(int pipe_end) {
  static char byte;
  long result = SYS_read;
  long first = pipe_end;
  long second = (long)&byte;
  long third = 1;
  __asm__ volatile("syscall"
                   : "+a"(result), "+D"(first), "+S"(second), "+d"(third)
                   :
                   : "rcx", "r11", "memory");
  return first == pipe_end && second == (long)&byte && third == 1 && result == 0 ? kUnchanged
                                                                                 : kChanged;
}

/// Has the tracee begin another call, and is killed in the middle of it.
static int trace(pid_t tracee, unsigned long options) {
  struct user_regs_struct registers;
  int status = 0;
  if (ptrace(PTRACE_SEIZE, tracee, NULL, options) != 0) return fail("PTRACE_SEIZE");
  if (ptrace(PTRACE_INTERRUPT, tracee, NULL, NULL) != 0) return fail("PTRACE_INTERRUPT");
  if (waitpid(tracee, &status, __WALL) != tracee) return fail("waitpid");
  if (ptrace(PTRACE_GETREGS, tracee, NULL, &registers) != 0) return fail("PTRACE_GETREGS");
  registers.rip -= kEnteringInstructionBytes;
  registers.rax = SYS_getppid;
  registers.orig_rax = -1ULL;
  registers.rdi = registers.rsi = registers.rdx = 0;
  if (ptrace(PTRACE_SETREGS, tracee, NULL, &registers) != 0) return fail("PTRACE_SETREGS");
  if (ptrace(PTRACE_SYSCALL, tracee, NULL, 0) != 0) return fail("PTRACE_SYSCALL");
  if (waitpid(tracee, &status, __WALL) != tracee) return fail("waitpid");
  return raise(SIGKILL);
}

static bool sleeps_in_read(pid_t pid) {
  char path[64];
  char text[16] = "";
  snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
  FILE* const file = fopen(path, "r");
  if (file == NULL) return false;
  const bool read = fgets(text, sizeof(text), file) != NULL;
  fclose(file);
  return read && text[0] == '0' && text[1] == ' ';
}

/// The end of a tracee whose tracer was killed, as wait(2) tells it; -1: something failed.
static int end_of_tracee(unsigned long options) {
  int ends[2];
  if (pipe(ends) != 0) return fail("pipe"), -1;
  const pid_t tracee = fork();
  if (tracee < 0) return fail("fork"), -1;
  if (tracee == 0) {
    close(ends[1]);
    // For a tracer that is no ancestor, where Yama asks for one. Elsewhere there is no such call.
    (void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    _exit(be_traced(ends[0]));
  }
  close(ends[0]);
  while (!sleeps_in_read(tracee)) usleep(1000);
  const pid_t tracer = fork();
  if (tracer == 0) _exit(trace(tracee, options));
  int status = 0;
  if (tracer < 0 || waitpid(tracer, &status, 0) != tracer) return fail("waitpid"), -1;
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  close(ends[1]);
  if (waitpid(tracee, &status, 0) != tracee) return fail("waitpid"), -1;
  return killed ? status : -1;
}

int main(void) {
  const int alone = end_of_tracee(PTRACE_O_TRACESYSGOOD);
  const int bound = end_of_tracee(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  if (!WIFEXITED(alone) || WEXITSTATUS(alone) != kChanged) {
    printf("a tracee whose tracer was killed ends with %#x\n", alone);
    return 1;
  }
  if (!WIFSIGNALED(bound) || WTERMSIG(bound) != SIGKILL) {
    printf("a tracee that is to die with its tracer ends with %#x\n", bound);
    return 1;
  }
  puts("a tracee whose tracer is killed goes on with the registers of the call, or dies too");
  return 0;
}
