// hostile SUPERVISOR_PID SEGMENT_ID: attaches and detaches in one process while another, of the
// same user, tries all that the kernel might let it do to the supervisor's threads meanwhile.
// Prints how often each attempt succeeded.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { attaches = 3000, most_threads = 256 };

struct successes {
  long ptrace, memory, descriptors, signals;
  int over;
};

static int list_threads(int process, int* tids) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/task", process);
  DIR* folder = opendir(path);
  int count = 0;
  for (struct dirent* entry; folder && count < most_threads && (entry = readdir(folder));) {
    if (atoi(entry->d_name) > 0) {
      tids[count++] = atoi(entry->d_name);
    }
  }
  if (folder) {
    closedir(folder);
  }
  return count;
}

static int can_open(int process, int tid, const char* name) {
  char path[96];
  snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", process, tid, name);
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    close(fd);
  }
  return fd >= 0;
}

static void attack(int process, int tid, struct successes* done, unsigned round) {
  char byte;
  struct iovec local = {&byte, 1}, remote = {&done, 1};
  if (ptrace(PTRACE_SEIZE, tid, 0, 0) == 0) {
    ++done->ptrace;
  }
  // EFAULT: it was let in, and the address is bad.
  if (process_vm_readv(tid, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT) {
    ++done->memory;
  }
  done->memory += can_open(process, tid, "mem");
  char path[96], target[64];
  snprintf(path, sizeof(path), "/proc/%d/task/%d/fd/0", process, tid);
  if (readlink(path, target, sizeof(target)) >= 0) {
    ++done->descriptors;
  }
  const int signal_number = round % 2 ? SIGKILL : SIGSTOP;
  for (int i = 0; i < 20; ++i) {
    if (syscall(SYS_tgkill, process, tid, signal_number) == 0) {
      ++done->signals;
    }
  }
}

int main(int argc, char** argv) {
  if (argc != 3) {
    return 2;
  }
  const int process = atoi(argv[1]), segment = atoi(argv[2]);
  struct successes* done =
      mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const pid_t attacker = fork();
  if (attacker == 0) {
    int tids[most_threads];
    for (unsigned round = 0; !__atomic_load_n(&done->over, __ATOMIC_RELAXED); ++round) {
      const int count = list_threads(process, tids);
      for (int i = 0; i < count; ++i) {
        attack(process, tids[i], done, round);
      }
    }
    _exit(0);
  }
  int failed = 0;
  for (int i = 0; i < attaches; ++i) {
    char* const memory = shmat(segment, NULL, 0);
    if (memory == (void*)-1 || (++*memory, shmdt(memory)) != 0) {
      ++failed;
    }
  }
  __atomic_store_n(&done->over, 1, __ATOMIC_RELAXED);
  int status = 0;
  waitpid(attacker, &status, 0);
  printf("failed attaches %d\nptrace %ld\nmemory %ld\ndescriptors %ld\n", failed, done->ptrace,
         done->memory, done->descriptors);
  fprintf(stderr, "signals delivered: %ld\n", done->signals);
  return status == 0 ? 0 : 1;
}
