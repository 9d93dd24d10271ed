// Four hundred threads that read one open /proc/sysvipc/shm at the same time. The process has many
// mappings, so that each read takes long: it counts attaches.
#include <pthread.h>

#include "attack.h"

enum { THREADS = 400, SEGMENTS = 100, MAPPINGS = 4000 };

static int table;

static void* read_on(void* unused) {
  (void)unused;
  static _Thread_local char page[4096];
  while (!time_is_up()) {
    if (pread(table, page, sizeof page, 0) < 0) break;
  }
  return NULL;
}

static void read_with_many(void* unused, int number) {
  (void)unused;
  (void)number;
  table = open("/proc/sysvipc/shm", O_RDONLY);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  for (int i = 0; i < THREADS; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, read_on, NULL) != 0) break;
  }
  while (!time_is_up()) pause_for(0.05);
}

void attack_one_open_table(void) {
  for (int made = 0; made < SEGMENTS; ++made) {
    const int id = make_segment(1, 0600);
    if (id < 0) break;
    shm_at(id, NULL, 0);
  }
  // Each second one may not be read, so that none merges with the next.
  for (int made = 0; made < MAPPINGS; ++made) {
    if (mmap(NULL, 4096, made % 2 == 0 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
             0) == MAP_FAILED) {
      break;
    }
  }
  crowd(1, read_with_many, NULL);
  wait_for_crowd();
}
