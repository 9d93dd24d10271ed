// Hundreds of threads that come, call and go, of one process.
#include "attack.h"

static void* call_a_little(void* segment) {
  for (int calls = 0; calls < 10 && !time_is_up(); ++calls) {
    const long at = shm_at(*(int*)segment, NULL, 0);
    struct shmid_ds ds;
    shm_ctl(*(int*)segment, IPC_STAT, &ds);
    if (at != -1) shm_dt((void*)at);
  }
  return NULL;
}

void attack_threads(void) {
  int segment = make_segment(1, 0600);
  pthread_t threads[300];
  while (!time_is_up()) {
    int made = 0;
    while (made < 300 && pthread_create(&threads[made], NULL, call_a_little, &segment) == 0) ++made;
    for (int i = 0; i < made; ++i) pthread_join(threads[i], NULL);
  }
  shm_ctl(segment, IPC_RMID, NULL);
}
