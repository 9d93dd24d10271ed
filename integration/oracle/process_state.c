// What a process can see of itself is the same before and after the calls: descriptors, tracer,
// signals and their dispositions, other threads' waits, timers, working directory.
#include <dirent.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

#include "transcript.h"

static void list_descriptors(char* text, size_t size) {
  DIR* directory = opendir("/proc/self/fd");
  size_t used = 0;
  text[0] = 0;
  for (const struct dirent* entry; (entry = readdir(directory));) {
    const int fd = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != dirfd(directory)) {
      used += (size_t)snprintf(text + used, size - used, " %d", fd);
    }
  }
  closedir(directory);
}

static void say_status(const char* label) {
  FILE* status = fopen("/proc/self/status", "r");
  char line[256];
  say("%s", label);
  while (fgets(line, sizeof line, status)) {
    static const char* const kFields[] = {"TracerPid", "SigPnd", "ShdPnd",  "SigBlk",
                                          "SigIgn",    "SigCgt", "Threads", "State"};
    for (size_t i = 0; i < sizeof kFields / sizeof *kFields; ++i) {
      if (strncmp(line, kFields[i], strlen(kFields[i])) == 0) {
        printf("  %s", line);
      }
    }
  }
  fclose(status);
}

static void call_all(int id) {
  char* at = attach(id);
  char* twin = (char*)shm_at(id, NULL, SHM_RDONLY);
  at[0] = 'x';
  nattch_of(id);
  if (twin[0] != 'x' || shm_dt(at) != 0 || shm_dt(twin) != 0) {
    die("calls");
  }
}

static void descriptors(int id) {
  char before[1024];
  char during[1024];
  char after[1024];
  list_descriptors(before, sizeof before);
  char* at = attach(id);
  list_descriptors(during, sizeof during);
  shm_dt(at);
  for (int i = 0; i < 50; ++i) {
    call_all(id);
  }
  list_descriptors(after, sizeof after);
  say("no descriptor is added: %d %d", strcmp(before, during) == 0, strcmp(before, after) == 0);
  const int lowest = dup(0);
  say("the lowest free descriptor is taken by others still: %d", lowest);
  close(lowest);
}

static volatile sig_atomic_t traps;

static void on_trap(int signal_number) {
  (void)signal_number;
  ++traps;
}

static void dispositions(int id) {
  say_status("at first");
  call_all(id);
  say_status("after the calls");

  signal(SIGTRAP, on_trap);
  signal(SIGSTOP, on_trap);
  call_all(id);
  say("SIGTRAP handled: came %d times", (int)traps);
  raise(SIGTRAP);
  say("its own comes: %d", (int)traps);
  signal(SIGTRAP, SIG_IGN);
  call_all(id);
  say_status("SIGTRAP ignored");
  signal(SIGTRAP, SIG_DFL);

  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  raise(SIGUSR1);
  raise(SIGTRAP);
  call_all(id);
  say_status("all blocked, two pending");
  int which = 0;
  sigset_t two;
  sigemptyset(&two);
  sigaddset(&two, SIGUSR1);
  sigaddset(&two, SIGTRAP);
  sigwait(&two, &which);
  say("%s", strsignal(which));
  sigwait(&two, &which);
  say("%s", strsignal(which));
  sigprocmask(SIG_UNBLOCK, &all, NULL);
  say_status("afterwards");
}

static int waiting_pipe[2];

static void* wait_in_read(void* unused) {
  (void)unused;
  char byte;
  return (void*)(intptr_t)(read(waiting_pipe[0], &byte, 1) == 1 ? 0 : errno);
}

static void* wait_in_epoll(void* unused) {
  (void)unused;
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl(epoll, EPOLL_CTL_ADD, waiting_pipe[0], &event);
  const int result = epoll_wait(epoll, &event, 1, -1);
  return (void*)(intptr_t)(result == 1 ? 0 : errno);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void* wait_in_futex(void* unused) {
  (void)unused;
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
  return NULL;
}

static void* wait_in_sleep(void* unused) {
  (void)unused;
  const struct timespec time = {0, 200000000};
  return (void*)(intptr_t)(nanosleep(&time, NULL) == 0 ? 0 : errno);
}

// Waits of other threads, that ptrace would interrupt, are left alone.
static void other_threads_waits(int id) {
  if (pipe(waiting_pipe) != 0) {
    die("pipe");
  }
  void* (*const bodies[])(void*) = {wait_in_epoll, wait_in_futex, wait_in_sleep, wait_in_read};
  static const char* const kNames[] = {"epoll_wait", "futex", "nanosleep", "read"};
  pthread_t threads[4];
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < 4; ++i) {
    pthread_create(&threads[i], NULL, bodies[i], NULL);
  }
  usleep(20000);
  for (int i = 0; i < 50; ++i) {
    call_all(id);
  }
  pthread_mutex_unlock(&mutex);
  if (write(waiting_pipe[1], "x", 1) != 1) {
    die("write");
  }
  // The byte stays until epoll has seen it, when the reader was the quicker.
  pthread_join(threads[3], NULL);
  if (write(waiting_pipe[1], "x", 1) != 1) {
    die("write");
  }
  for (int i = 0; i < 3; ++i) {
    void* error;
    pthread_join(threads[i], &error);
    say("%s: %s", kNames[i], error ? strerrorname_np((int)(intptr_t)error) : "undisturbed");
  }
}

// A parent that waits sees no stop of its child.
static void no_stop_is_seen(int id) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 100; ++i) {
      call_all(id);
    }
    _exit(5);
  }
  int status;
  const pid_t waited = waitpid(child, &status, WUNTRACED | WCONTINUED);
  say("waitpid: the child %d, exited %d with %d", waited == child, WIFEXITED(status),
      WEXITSTATUS(status));
}

static volatile sig_atomic_t child_signals;

static void on_child(int signal_number) {
  (void)signal_number;
  ++child_signals;
}

static void one_sigchld(int id) {
  signal(SIGCHLD, on_child);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 50; ++i) {
      call_all(id);
    }
    _exit(0);
  }
  int status;
  while (waitpid(child, &status, 0) != child) {
  }
  say("SIGCHLD came %d times", (int)child_signals);
  signal(SIGCHLD, SIG_DFL);
}

// A process that has made itself undumpable attaches all the same.
static void undumpable(void* argument) {
  prctl(PR_SET_DUMPABLE, 0);
  call_all(*(int*)argument);
  say("undumpable: still %d", prctl(PR_GET_DUMPABLE));
}

// And it may trace its own children still.
static void tracing(int id) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    call_all(id);
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    _exit(9);
  }
  int status;
  waitpid(child, &status, 0);
  say("stopped under its own tracer: %d", WIFSTOPPED(status));
  ptrace(PTRACE_CONT, child, NULL, NULL);
  waitpid(child, &status, 0);
  say_end("traced child", status);
}

// The root directory is a folder that is gone already.
static void chrooted(void* argument) {
  char directory[] = "empty_root.XXXXXX";
  if (!mkdtemp(directory) || chdir(directory) != 0) {
    die("mkdtemp");
  }
  char back[300];
  snprintf(back, sizeof back, "../%s", directory);
  if (rmdir(back) != 0 || chroot(".") != 0) {
    die("chroot");
  }
  call_all(*(int*)argument);
  say("without a root directory: works");
}

int main(void) {
  int id = new_segment(2 * PAGE);
  descriptors(id);
  dispositions(id);
  other_threads_waits(id);
  no_stop_is_seen(id);
  one_sigchld(id);
  in_child(undumpable, &id);
  tracing(id);
  in_child(chrooted, &id);
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say("end");
  return 0;
}
