// Maps something else over the page of code that callers run, sealed, garbage, or code that keeps
// the descriptor of each attach, and attaches on: from a call site that leads there.
#include "attack.h"

static bool find_page(unsigned long* start) {
  FILE* const maps = fopen("/proc/self/maps", "r");
  char line[512];
  bool found = false;
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    if (strstr(line, "memfd:shmvisor") == NULL) continue;
    found = sscanf(line, "%lx", start) == 1;
    break;
  }
  if (maps != NULL) fclose(maps);
  return found;
}

// The same code, but for close(2), of which getpid(2) is made.
static void keep_descriptors(unsigned long start) {
  static const unsigned char closes[] = {0xb8, 3, 0, 0, 0, 0x0f, 0x05};
  static unsigned char code[LARGEST_PAGE];
  memcpy(code, (void*)start, PAGE);
  for (size_t at = 0; at + sizeof closes < PAGE; ++at) {
    if (memcmp(code + at, closes, sizeof closes) == 0) code[at + 1] = 39;
  }
  void* const page = mmap((void*)start, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                          MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page != MAP_FAILED) memcpy(page, code, PAGE);
}

static void replace_for_ever(void* segment, int number) {
  for (int round = number; !time_is_up(); ++round) {
    const pid_t pid = fork();
    if (pid == 0) {
      for (int i = 0; i < 40; ++i) {
        const long at = shm_at(*(int*)segment, NULL, 0);
        if (at != -1) shm_dt((void*)at);
      }
      unsigned long start = 0;
      if (find_page(&start) && round % 7 == 6) {
        keep_descriptors(start);
      } else if (start != 0) {
        char* const page = mmap((void*)start, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                                MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page != MAP_FAILED)
          memset(page, round % 3 == 0 ? 0x90 : round % 3 == 1 ? 0 : 0xeb, PAGE);
        if (round % 4 == 0) mprotect((void*)start, 2 * PAGE, PROT_NONE);
        if (round % 5 == 0) munmap((void*)(start + PAGE), PAGE);
      }
      alarm(1);
      for (int i = 0; i < 50; ++i) {
        const long at = shm_at(*(int*)segment, NULL, 0);
        if (at != -1) shm_dt((void*)at);
      }
      _exit(0);
    }
    if (pid > 0) waitpid(pid, NULL, 0);
  }
}

void attack_call_page(void) {
  int segment = make_segment(1, 0600);
  crowd(3, replace_for_ever, &segment);
  wait_for_crowd();
  shm_ctl(segment, IPC_RMID, NULL);
}
