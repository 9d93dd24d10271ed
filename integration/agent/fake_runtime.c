// fake_runtime SOCKET ID METADATA COUNT
// fake_runtime SOCKET ID METADATA -- COMMAND...
// What a container runtime does: a process installs a filter that notifies of the four calls and
// sends its listener to SOCKET as the container ID. It executes COMMAND; or, COUNT times one after
// the other, a child uses shared memory and ends. There ID may hold a %d for the round.
//
// Exit status 0 when every child could do what it should; otherwise the first complaint is printed.
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kKey = 0x4f4349, kPage = 4096 };

static void die(const char* what) {
  fprintf(stderr, "fake_runtime: %s: %s\n", what, strerror(errno));
  _exit(1);
}

/// Without WAIT_KILLABLE_RECV, as older runtimes do it.
static int install_filter(void) {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_shmget, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_shmat, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_shmctl, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_shmdt, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {sizeof(program) / sizeof(program[0]), program};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                      &filter);
}

static int connect_to(const char* path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr*)&address, sizeof(address)) != 0) {
    die("connect");
  }
  return fd;
}

static void send_listener(int connection, int listener, const char* text) {
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control = {{0}};
  struct iovec data = {(void*)(size_t)text, strlen(text)};
  struct msghdr header = {.msg_iov = &data,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof(control.bytes)};
  struct cmsghdr* part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(part), &listener, sizeof(int));
  if (sendmsg(connection, &header, MSG_NOSIGNAL) != (ssize_t)data.iov_len) {
    die("sendmsg");
  }
}

/// Every container finds a registry without the key; a removed segment and one that is not removed
/// stay behind, for the agent to clear away.
static void use_shared_memory(void) {
  const int id = shmget(kKey, kPage, IPC_CREAT | IPC_EXCL | 0600);
  if (id < 0) {
    die("shmget");
  }
  char* at = shmat(id, NULL, 0);
  if (at == (void*)-1) {
    die("shmat");
  }
  at[0] = 'x';
  const int removed = shmget(IPC_PRIVATE, kPage, 0600);
  char* other = shmat(removed, NULL, 0);
  if (other == (void*)-1 || shmctl(removed, IPC_RMID, NULL) != 0) {
    die("a removed segment");
  }
  struct shmid_ds state;
  if (shmctl(id, IPC_STAT, &state) != 0 || state.shm_nattch != 1) {
    die("IPC_STAT");
  }
}

/// This process is a container's from now on.
static void become_contained(const char* socket_path, const char* id, const char* metadata) {
  char text[1024];
  snprintf(
      text, sizeof(text),
      "{\"ociVersion\":\"1.0.2\",\"fds\":[\"seccompFd\"],\"pid\":%d,\"metadata\":\"%s\",\"state\":"
      "{\"ociVersion\":\"1.0.2\",\"id\":\"%s\",\"status\":\"creating\",\"pid\":%d,\"bundle\":\"/"
      "\"}}",
      getpid(), metadata, id, getpid());
  const int connection = connect_to(socket_path);
  const int listener = install_filter();
  if (listener < 0) {
    die("seccomp");
  }
  send_listener(connection, listener, text);
  close(listener);
  close(connection);
}

static void one_round(char** arguments, int round) {
  char id[128];
  const char* percent = strstr(arguments[2], "%d");
  if (percent != NULL) {
    snprintf(id, sizeof(id), "%.*s%d%s", (int)(percent - arguments[2]), arguments[2], round,
             percent + 2);
  } else {
    snprintf(id, sizeof(id), "%s", arguments[2]);
  }
  become_contained(arguments[1], id, arguments[3]);
  use_shared_memory();
  _exit(0);
}

int main(int count, char** arguments) {
  if (count < 5) {
    fprintf(stderr, "usage: fake_runtime SOCKET ID METADATA COUNT | -- COMMAND...\n");
    return 2;
  }
  if (strcmp(arguments[4], "--") == 0 && count > 5) {
    become_contained(arguments[1], arguments[2], arguments[3]);
    execvp(arguments[5], arguments + 5);
    die(arguments[5]);
  }
  const int rounds = atoi(arguments[4]);
  for (int round = 0; round < rounds; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      one_round(arguments, round);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
      fprintf(stderr, "fake_runtime: round %d of %d failed, status %#x\n", round, rounds, status);
      return 1;
    }
  }
  return 0;
}
