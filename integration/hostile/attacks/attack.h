// What the attacks share. An attack is a function that misbehaves until time_is_up(), and returns
// or is killed; whatever it made goes with its processes.
#ifndef SHMVISOR_INTEGRATION_HOSTILE_ATTACKS_ATTACK_H_
#define SHMVISOR_INTEGRATION_HOSTILE_ATTACKS_ATTACK_H_

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <time.h>

#include "integration/oracle/transcript.h"

bool time_is_up(void);
/// `count` processes that run body(argument, number) and end with it; they end with their parent
/// too. Returns how many could be made.
int crowd(int count, void (*body)(void* argument, int number), void* argument);
/// Until all children have ended, or the time is up: then they are killed.
void wait_for_crowd(void);
void pause_for(double seconds);
/// The user that attacks without any right: what an attack that begins as root becomes, once it has
/// what such a user may have elsewhere (an open /dev/fuse).
void become_nobody(void);
/// A new segment of `pages`; -1 where there is none to be had.
int make_segment(unsigned long pages, int mode);
/// Puts a value into a file, as a whole; false where that is refused.
bool put(const char* path, const char* value);

#endif  // SHMVISOR_INTEGRATION_HOSTILE_ATTACKS_ATTACK_H_
