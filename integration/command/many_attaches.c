// Attaches and detaches more often than a process does before it gets the call page.
#include <stdio.h>
#include <sys/shm.h>

enum { kAttaches = 8 };

int main(void) {
  const int id = shmget(IPC_PRIVATE, 4096, 0600);
  int attaches = 0;
  for (int round = 0; round < kAttaches; ++round) {
    char* const at = shmat(id, NULL, 0);
    if (at == (void*)-1) break;
    at[0] = 'x';
    attaches += shmdt(at) == 0;
  }
  shmctl(id, IPC_RMID, NULL);
  printf("%d attaches\n", attaches);
  return attaches != kAttaches;
}
