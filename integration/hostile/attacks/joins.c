// Visitors by the thousand at the socket where runs join, and at the agent's: silent ones, half a
// message, messages that are far too long, whole requests, descriptors that are none of a filter.
#include <sys/socket.h>
#include <sys/un.h>

#include "attack.h"

static int connect_to(const char* path, int type) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr*)&address, sizeof address) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

static void send_with(int fd, const void* data, size_t bytes, int descriptors) {
  union {
    char bytes[CMSG_SPACE(250 * sizeof(int))];
    struct cmsghdr align;
  } control = {{0}};
  struct iovec part = {(void*)(uintptr_t)data, bytes};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (descriptors != 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE((size_t)descriptors * sizeof(int));
    struct cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN((size_t)descriptors * sizeof(int));
    // All of them are standard input.
  }
  (void)sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void visit_for_ever(void* place, int number) {
  const char* const path = place;
  const struct rlimit many = {1024, 1024};
  setrlimit(RLIMIT_NOFILE, &many);
  static char long_text[256 * 1024];
  memset(long_text, '[', sizeof long_text);
  memcpy(long_text, "{\"ociVersion\":", 14);
  const char request[24] = "shmvisor joins3";  // of join_messages.h
  int kept[600];
  for (int round = number; !time_is_up(); ++round) {
    int visitors = 0;
    for (int i = 0; i < 600; ++i) {
      const int type = (round + i) % 2 == 0 ? SOCK_SEQPACKET : SOCK_STREAM;
      const int fd = connect_to(path, type);
      if (fd < 0) continue;
      kept[visitors++] = fd;
      switch (i % 6) {
        case 0:
          send_with(fd, "shmvisor", 7, 0);
          break;
        case 1:
          send_with(fd, long_text, sizeof long_text, 0);
          break;
        case 2:
          send_with(fd, long_text, 100, 250);
          break;
        case 3:
          send_with(fd, "", 0, 1);
          break;
        case 4:
          send_with(fd, request, sizeof request, 1);
          break;
        default:
          break;
      }
    }
    pause_for(0.2);
    for (int i = 0; i < visitors; ++i) close(kept[i]);
  }
}

void attack_joins(void) {
  const char* const path = getenv("HOSTILE_SOCKET");
  if (path == NULL) {
    printf("nobody listens\n");
    exit(77);
  }
  crowd(3, visit_for_ever, (void*)(uintptr_t)path);
  wait_for_crowd();
}
