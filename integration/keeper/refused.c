// refused SIZE: asks for segments of SIZE bytes, SIZE + 1 and so on, which are all refused, a few
// at a time, until its input ends. Prints how many there were.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

enum { kAtOnce = 8, kPauseMs = 40 };

static int input_ended_within(int ms) {
  struct pollfd input = {STDIN_FILENO, POLLIN, 0};
  return poll(&input, 1, ms) > 0 && (input.revents & POLLHUP) != 0;
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const size_t first = (size_t)atol(argv[1]);
  size_t bytes = first;
  puts("ready");
  fflush(stdout);
  do {
    for (int times = 0; times < kAtOnce; ++times) {
      if (shmget(IPC_PRIVATE, bytes++, 0600) != -1 || errno != EINVAL) {
        fprintf(stderr, "shmget of %zu bytes: %s\n", bytes - 1, strerror(errno));
        return 1;
      }
    }
  } while (!input_ended_within(kPauseMs));
  printf("%zu\n", bytes - first);
  return 0;
}
