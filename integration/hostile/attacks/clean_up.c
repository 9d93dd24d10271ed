// No attack: removes every segment that a process may remove, which attackers leave when they are
// killed.
#include "attack.h"

void attack_clean_up(void) {
  struct shm_info info;
  const int last = (int)shm_ctl(0, SHM_INFO, &info);
  for (int index = 0; index <= last; ++index) {
    struct shmid_ds ds;
    const int id = (int)shm_ctl(index, SHM_STAT_ANY, &ds);
    if (id >= 0) shm_ctl(id, IPC_RMID, NULL);
  }
}
