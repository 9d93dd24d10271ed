// Writes the limits and reads them, from several processes at once.
#include "attack.h"

static void write_for_ever(void* unused, int number) {
  (void)unused;
  for (int round = number; !time_is_up(); ++round) {
    char value[32];
    snprintf(value, sizeof value, "%d", 1000000 + round);
    put("/proc/sys/kernel/shmall", value);
    snprintf(value, sizeof value, "%d", 100000000 + round);
    put("/proc/sys/kernel/shmmax", value);
    put("/proc/sys/kernel/shmmni", round % 2 == 0 ? "4096" : "8192");
    put("/proc/sys/kernel/shmmni", "garbage");
  }
}

void attack_sysctls(void) {
  crowd(3, write_for_ever, NULL);
  wait_for_crowd();
}
