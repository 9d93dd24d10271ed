// Visitors at the socket where runs join that begin an exec which never ends as soon as they have
// connected: whoever asks the kernel for the namespaces of one of them waits.
#include <sys/socket.h>
#include <sys/un.h>

#include "fuse_files.h"

static void connect_and_exec(void* place, int number) {
  (void)number;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, place, sizeof address.sun_path - 1);
  if (open("/mnt/file", O_RDWR | O_CLOEXEC) < 0) return;
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  if (connect(fd, (struct sockaddr*)&address, sizeof address) != 0) return;
  execl("/bin/sleep", "attack", "10", (char*)NULL);
}

void attack_visitors_in_exec(void) {
  char* const path = getenv("HOSTILE_SOCKET");
  if (path == NULL) {
    printf("nobody listens\n");
    exit(77);
  }
  serve_files("/mnt", UNANSWERED(FUSE_FLUSH));
  become_nobody();
  for (int round = 0; round < 40 && !time_is_up(); ++round) {
    crowd(20, connect_and_exec, path);
    pause_for(0.02);
  }
  while (!time_is_up()) pause_for(0.05);
}
