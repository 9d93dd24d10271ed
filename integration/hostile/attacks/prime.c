// No attack: more threads than anything is remembered of make a few calls, one after the other.
#include "attack.h"

static void* call_once(void* segment) {
  const long at = shm_at(*(int*)segment, NULL, 0);
  if (at != -1) shm_dt((void*)at);
  return NULL;
}

void attack_prime(void) {
  int segment = make_segment(1, 0600);
  for (int count = 0; count < 400; ++count) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, call_once, &segment) == 0) pthread_join(thread, NULL);
  }
  shm_ctl(segment, IPC_RMID, NULL);
}
