#include "transcript.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>

__attribute__((constructor)) static void flush_each_line(void) { setvbuf(stdout, NULL, _IOLBF, 0); }

unsigned long page_bytes(void) {
  static unsigned long bytes;
  if (bytes == 0) bytes = (unsigned long)sysconf(_SC_PAGESIZE);
  return bytes;
}

long shm_get(key_t key, unsigned long size, int flags) {
  return syscall(SYS_shmget, key, size, flags);
}

#ifdef __x86_64__
// As the C library's shmat and shmdt make the call, and not as syscall(2) does: so that shmvisor
// may have these places lead into its own code.
#define CALL_AT_SITE(number, first, second, third)                            \
  long result;                                                                \
  __asm__ volatile("nop; mov %1, %%eax; syscall"                              \
                   : "=a"(result)                                             \
                   : "i"(number), "D"((long)(first)), "S"(second), "d"(third) \
                   : "rcx", "r11", "memory");                                 \
  if (result >= 0 || result < -4095) return result;                           \
  errno = (int)-result;                                                       \
  return -1

long shm_at(int id, const void* address, int flags) {
  CALL_AT_SITE(SYS_shmat, id, address, (long)flags);
}

long shm_dt(const void* address) { CALL_AT_SITE(SYS_shmdt, address, 0L, 0L); }
#else
long shm_at(int id, const void* address, int flags) {
  return syscall(SYS_shmat, id, address, flags);
}

long shm_dt(const void* address) { return syscall(SYS_shmdt, address); }
#endif

long shm_ctl(int id, int command, void* buffer) {
#ifdef __arm__
  command |= 0x100;  // IPC_64, which other architectures know in ipc(2) alone
#endif
  return syscall(SYS_shmctl, id, command, buffer);
}

void say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
}

static const char* name_of_errno(int error) {
  const char* name = strerrorname_np(error);
  return name ? name : "unknown errno";
}

long report(const char* text, long result) {
  const int error = errno;
  if (result == -1) {
    say("%s = %s", text, name_of_errno(error));
  } else {
    say("%s = ok", text);
  }
  return result;
}

long report_value(const char* text, long result) {
  const int error = errno;
  if (result == -1) {
    say("%s = %s", text, name_of_errno(error));
  } else {
    say("%s = %ld", text, result);
  }
  return result;
}

long reportf(long result, const char* format, ...) {
  const int error = errno;
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  errno = error;
  return report(text, result);
}

_Noreturn void die(const char* what) {
  const int error = errno;
  say("FAILED: %s: %s", what, name_of_errno(error));
  fprintf(stderr, "%s: %s\n", what, strerror(error));
  _exit(99);
}

struct shmid_ds stat_of(int id) {
  struct shmid_ds segment;
  memset(&segment, 0x5a, sizeof segment);
  if (shm_ctl(id, IPC_STAT, &segment) != 0) {
    die("IPC_STAT");
  }
  return segment;
}

unsigned long nattch_of(int id) { return stat_of(id).shm_nattch; }

unsigned long nattch_settled(int id, unsigned long wanted) {
  for (int looks = 0; looks < 1000 && nattch_of(id) != wanted; ++looks) {
    usleep(10000);
  }
  return nattch_of(id);
}

struct shm_info info_now(void) {
  struct shm_info info;
  memset(&info, 0x5a, sizeof info);
  if (shm_ctl(0, SHM_INFO, (void*)&info) < 0) {
    die("SHM_INFO");
  }
  return info;
}

int segments_settled(void) {
  for (int looks = 0; looks < 1000 && info_now().used_ids != 0; ++looks) {
    usleep(10000);
  }
  return info_now().used_ids;
}

int new_segment(unsigned long size) {
  const long id = shm_get(IPC_PRIVATE, size, IPC_CREAT | 0600);
  if (id < 0) {
    die("shmget");
  }
  return (int)id;
}

char* attach(int id) {
  const long address = shm_at(id, NULL, 0);
  if (address == -1) {
    die("shmat");
  }
  return (char*)address;
}

char* free_range(unsigned long size) {
  const unsigned long unit = 4 * PAGE;
  void* range = mmap(NULL, size + unit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (range == MAP_FAILED || munmap(range, size + unit) != 0) {
    die("mmap");
  }
  return (char*)(((uintptr_t)range + unit - 1) / unit * unit);
}

void say_end(const char* who, int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    say("%s: killed by signal %d", who, WTERMSIG(wait_status));
  } else if (WIFEXITED(wait_status)) {
    say("%s: exit status %d", who, WEXITSTATUS(wait_status));
  } else {
    say("%s: neither exited nor killed", who);
  }
}

void in_child(void (*body)(void*), void* argument) {
  fflush(stdout);
  const pid_t child = fork();
  if (child < 0) {
    die("fork");
  }
  if (child == 0) {
    body(argument);
    fflush(stdout);
    _exit(0);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) {
    die("waitpid");
  }
  if (status != 0) {
    say_end("child", status);
  }
}

void become(const struct identity* identity) {
  if (setgroups(identity->group_count, identity->groups) != 0) {
    die("setgroups");
  }
  prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  if (setresgid(identity->gid, identity->gid, identity->gid) != 0 ||
      setresuid(identity->uid, identity->uid, identity->uid) != 0) {
    die("setresuid");
  }
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct data[2];
  memset(data, 0, sizeof data);
  for (int half = 0; half < 2; ++half) {
    data[half].permitted = data[half].effective = (uint32_t)(identity->capabilities >> (32 * half));
  }
  if (syscall(SYS_capset, &header, data) != 0) {
    die("capset");
  }
}

long filter_call(unsigned number, unsigned flags, unsigned action) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {sizeof code / sizeof *code, code};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

struct turns make_turns(void) {
  struct turns turns;
  if (pipe(turns.to_child) != 0 || pipe(turns.to_parent) != 0) {
    die("pipe");
  }
  return turns;
}

static void put(int fd) {
  if (write(fd, "x", 1) != 1) {
    die("write");
  }
}

static void take(int fd) {
  char byte;
  ssize_t count;
  do {
    count = read(fd, &byte, 1);
  } while (count < 0 && errno == EINTR);
  if (count != 1) {
    die("read");
  }
}

void signal_child(const struct turns* turns) { put(turns->to_child[1]); }
void signal_parent(const struct turns* turns) { put(turns->to_parent[1]); }
void await_child(const struct turns* turns) { take(turns->to_parent[0]); }
void await_parent(const struct turns* turns) { take(turns->to_child[0]); }
