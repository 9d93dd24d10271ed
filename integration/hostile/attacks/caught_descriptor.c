// Catches the descriptor of a segment while an attach has it, and lets nobody open the file any
// more: a permission event of fanotify that is never answered.
#include <sys/fanotify.h>

#include "attack.h"

static int events;

static void* catch_for_ever(void* unused) {
  (void)unused;
  while (!time_is_up()) {
    // As what it is lent: a high number, or where that is not possible the lowest.
    for (int fd = 4; fd < 64; fd = fd == 9 ? 58 : fd + 1) {
      fanotify_mark(events, FAN_MARK_ADD, FAN_OPEN_PERM | FAN_ACCESS_PERM, fd, NULL);
    }
  }
  return NULL;
}

static void attach_for_ever(void* unused, int number) {
  (void)unused;
  (void)number;
  pthread_t catcher;
  pthread_create(&catcher, NULL, catch_for_ever, NULL);
  const int id = make_segment(1, 0666);
  while (!time_is_up()) {
    const long at = shm_at(id, NULL, 0);
    if (at != -1) shm_dt((void*)at);
    const int other = make_segment(1, 0666);
    const long there = shm_at(other, NULL, 0);
    shm_ctl(other, IPC_RMID, NULL);
    if (there != -1) shm_dt((void*)there);
  }
}

void attack_caught_descriptor(void) {
  events = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY);
  if (events < 0) {
    printf("no fanotify: %s\n", strerror(errno));
    exit(77);
  }
  crowd(4, attach_for_ever, NULL);
  while (!time_is_up()) pause_for(0.05);
}
