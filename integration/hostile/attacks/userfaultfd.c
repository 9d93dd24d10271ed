// Buffers for shmctl in memory whose faults the attacker handles: it does not. 900 calls are kept.
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include "attack.h"

static void* buffers;
static int segment;

static void* stat_for_ever(void* number) {
  shm_ctl(segment, IPC_STAT, (char*)buffers + (size_t)number * PAGE);
  return NULL;
}

void attack_userfaultfd(void) {
  enum { kCalls = 900 };
  const int faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  struct uffdio_api api = {.api = UFFD_API};
  buffers = mmap(NULL, kCalls * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct uffdio_register range = {.range = {(uintptr_t)buffers, kCalls * PAGE},
                                  .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (faults < 0 || ioctl(faults, UFFDIO_API, &api) != 0 ||
      ioctl(faults, UFFDIO_REGISTER, &range) != 0) {
    printf("no userfaultfd: %s\n", strerror(errno));
    exit(77);
  }
  become_nobody();
  segment = make_segment(1, 0600);
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 * 1024);
  pthread_t thread;
  for (size_t number = 0; number < kCalls && !time_is_up(); ++number) {
    if (pthread_create(&thread, &small, stat_for_ever, (void*)number) != 0) break;
  }
  while (!time_is_up()) pause_for(0.05);
  _exit(0);
}
