// page_counts PAGES: makes a segment, attaches and detaches it, and tells how many of its pages are
// there after each step; or why it cannot be made.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

static unsigned long pages_there(void) {
  struct shm_info info;
  if (shmctl(0, SHM_INFO, (struct shmid_ds*)&info) < 0) {
    perror("SHM_INFO");
    exit(1);
  }
  return info.shm_rss + info.shm_swp;
}

int main(int argc, char** argv) {
  const unsigned long pages = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
  const int id = shmget(IPC_PRIVATE, pages * 4096, 0600);
  if (id < 0) {
    printf("%s\n", strerrorname_np(errno));
    return 0;
  }
  printf("made %lu", pages_there());
  char* const at = shmat(id, NULL, SHM_RDONLY);
  shmctl(id, IPC_RMID, NULL);
  if (at == (char*)-1) {
    perror("shmat");
    return 1;
  }
  printf(" attached %lu\n", pages_there());
  return 0;
}
