// A process that others take a segment out of.
//
// target FOLDER NAME WHAT: attaches segment 0x77, and says so by the file FOLDER/NAME with its pid.
// When there is FOLDER/NAME.look it tells in FOLDER/NAME.told what an access raises, how many
// SIGSYS it got, and what an mmap(2) of its own answers. It ends when there is FOLDER/over.
//
// WHAT: plain; errno, trap, kill: it has a seccomp filter of its own that does this to mmap(2);
// dispatch: its system calls raise SIGSYS (prctl(2), PR_SET_SYSCALL_USER_DISPATCH), but for those
// that it makes for this test.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

#ifdef __i386__
#define MMAP SYS_mmap2
#else
#define MMAP SYS_mmap
#endif

enum { kBytes = 4 * 4096 };

static volatile sig_atomic_t sigsys;
static volatile char dispatches;
static const char* folder;

static void die(const char* what) {
  perror(what);
  exit(2);
}

static void count_sigsys(int number) {
  (void)number;
  dispatches = 0;
  ++sigsys;
}

static const char* path_of(const char* name, const char* ending) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/%s%s", folder, name, ending);
  return path;
}

static void tell(const char* name, const char* ending, const char* text) {
  char part[4096];
  snprintf(part, sizeof part, "%s", path_of(name, ".part"));
  const int file = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file < 0 || write(file, text, strlen(text)) < 0) die(part);
  close(file);
  if (rename(part, path_of(name, ending)) != 0) die("rename");
}

static void wait_for(const char* name, const char* ending) {
  while (access(path_of(name, ending), F_OK) != 0) usleep(20000);
}

static void filter_mmap(unsigned action) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MMAP, 0, 1), BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {sizeof code / sizeof code[0], code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    die("filter");
  }
}

/// Until the other end of the pipe is closed: in its own code, with its calls dispatched.
static void spin_dispatched(const char* name) {
  if (prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 0L, 0L, &dispatches) != 0) {
    tell(name, ".told", "no dispatch\n");
    return;
  }
  volatile char* const go_on =
      mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const pid_t helper = fork();
  if (helper == 0) {
    wait_for(name, ".look");
    *go_on = 1;
    _exit(0);
  }
  char pid[32];
  snprintf(pid, sizeof pid, "%d\n", (int)getpid());
  tell(name, "", pid);
  dispatches = 1;
  while (*go_on == 0) {
  }
  dispatches = 0;
  waitpid(helper, NULL, 0);
}

static const char* raised_by_access(const volatile char* at) {
  const pid_t child = fork();
  if (child == 0) {
    _exit(*at == 'x' ? 0 : 1);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) die("waitpid");
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status) == 0 ? "nothing" : "other contents";
  if (WTERMSIG(status) == SIGSEGV) return "SIGSEGV";
  return WTERMSIG(status) == SIGBUS ? "SIGBUS" : "another signal";
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  folder = argv[1];
  const char* const name = argv[2];
  const char* const what = argv[3];
  const struct rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const int id = shmget(0x77, kBytes, IPC_CREAT | 0600);
  char* const at = id < 0 ? NULL : shmat(id, NULL, 0);
  if (at == NULL || at == (void*)-1) die("segment");
  memset(at, 'x', kBytes);
  signal(SIGSYS, count_sigsys);
  if (strcmp(what, "errno") == 0) filter_mmap(SECCOMP_RET_ERRNO | EACCES);
  if (strcmp(what, "trap") == 0) filter_mmap(SECCOMP_RET_TRAP);
  if (strcmp(what, "kill") == 0) filter_mmap(SECCOMP_RET_KILL_PROCESS);
  if (strcmp(what, "dispatch") == 0) {
    spin_dispatched(name);
  } else {
    char pid[32];
    snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    tell(name, "", pid);
    wait_for(name, ".look");
  }
  char told[200];
  const char* const raised = raised_by_access(at);
  const int before = sigsys;
  const long mapped = syscall(MMAP, NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  snprintf(told, sizeof told, "%s, %d SIGSYS, its own mmap %s\n", raised, before,
           sigsys != before ? "raises SIGSYS"
           : mapped == -1   ? "fails"
                            : "maps");
  tell(name, ".told", told);
  wait_for("over", "");
  return 0;
}
