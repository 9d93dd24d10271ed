// Times and process ids of a segment: which calls set them, and in which order they come.
#include <time.h>

#include "transcript.h"

static void say_times(const char* label, int id) {
  const struct shmid_ds segment = stat_of(id);
  const time_t now = time(NULL);
  say("%s: atime %s dtime %s ctime %s cpid %s lpid %s", label,
      segment.shm_atime == 0                                       ? "0"
      : segment.shm_atime <= now && segment.shm_atime >= now - 300 ? "set"
                                                                   : "wrong",
      segment.shm_dtime == 0                                       ? "0"
      : segment.shm_dtime <= now && segment.shm_dtime >= now - 300 ? "set"
                                                                   : "wrong",
      segment.shm_ctime == 0                                       ? "0"
      : segment.shm_ctime <= now && segment.shm_ctime >= now - 300 ? "set"
                                                                   : "wrong",
      segment.shm_cpid == getpid()    ? "me"
      : segment.shm_cpid == getppid() ? "parent"
      : segment.shm_cpid == 0         ? "0"
                                      : "other",
      segment.shm_lpid == getpid()    ? "me"
      : segment.shm_lpid == getppid() ? "parent"
      : segment.shm_lpid == 0         ? "0"
                                      : "other");
}

static void in_another_process(void* argument) {
  const int id = *(int*)argument;
  say_times("seen by a child", id);
  char* at = attach(id);
  say_times("attached by the child", id);
  TRY(shm_dt(at));
  say_times("detached by the child", id);
}

static void* in_a_thread(void* argument) {
  const int id = *(int*)argument;
  char* at = attach(id);
  say_times("attached by a thread: lpid is the process", id);
  shm_dt(at);
  int made = new_segment(PAGE);
  say_times("made by a thread", made);
  shm_ctl(made, IPC_RMID, NULL);
  return NULL;
}

static void wait_until_after(time_t moment) {
  while (time(NULL) <= moment + 1) {
    usleep(20000);
  }
}

static void say_displaced(const char* label, int id, time_t attached) {
  const struct shmid_ds segment = stat_of(id);
  say("%s: atime later %d dtime set %d lpid me %d nattch %lu", label, segment.shm_atime > attached,
      segment.shm_dtime > attached, segment.shm_lpid == getpid(), segment.shm_nattch);
}

// SHM_REMAP over other attaches ends them, as munmap does.
static void displaced(void) {
  const int whole = new_segment(PAGE);
  const int beginning = new_segment(3 * PAGE);
  const int middle = new_segment(3 * PAGE);
  const int id = new_segment(PAGE);
  char* field = free_range(8 * PAGE);
  shm_at(whole, field, 0);
  shm_at(beginning, field + PAGE, 0);
  shm_at(middle, field + 4 * PAGE, 0);
  const time_t attached = stat_of(middle).shm_atime;
  wait_until_after(attached);
  shm_at(id, field, SHM_REMAP);
  say_displaced("all of it replaced", whole, attached);
  shm_at(id, field + PAGE, SHM_REMAP);
  say_displaced("its beginning replaced", beginning, attached);
  shm_at(id, field + 5 * PAGE, SHM_REMAP);
  say_displaced("its middle replaced", middle, attached);
  say_displaced("left alone", id, attached);
  const int ids[] = {whole, beginning, middle, id};
  for (int i = 0; i < 4; ++i) {
    TRY(shm_ctl(ids[i], IPC_RMID, NULL));
  }
}

int main(void) {
  int id = new_segment(PAGE);
  say_times("made", id);
  char* at = attach(id);
  say_times("attached", id);
  TRY(shm_at(id, (char*)1, 0));
  say_times("refused", id);
  TRY(shm_dt(at));
  say_times("detached", id);
  in_child(in_another_process, &id);
  say_times("after the child", id);
  pthread_t thread;
  pthread_create(&thread, NULL, in_a_thread, &id);
  pthread_join(thread, NULL);

  const struct shmid_ds first = stat_of(id);
  wait_until_after(first.shm_atime);
  at = attach(id);
  struct shmid_ds second = stat_of(id);
  say("attach: atime later %d, dtime the same %d, ctime the same %d",
      second.shm_atime > first.shm_atime, second.shm_dtime == first.shm_dtime,
      second.shm_ctime == first.shm_ctime);
  TRY(shm_dt(at));
  second = stat_of(id);
  say("detach: dtime later %d, ctime the same %d", second.shm_dtime > first.shm_dtime,
      second.shm_ctime == first.shm_ctime);
  TRY(shm_ctl(id, SHM_LOCK, NULL));
  TRY(shm_ctl(id, SHM_UNLOCK, NULL));
  say("SHM_LOCK: ctime the same %d", stat_of(id).shm_ctime == first.shm_ctime);
  TRY(shm_get(IPC_PRIVATE, 0, 0));
  struct shmid_ds unknown = second;
  unknown.shm_perm.uid = (uid_t)-1;
  TRY(shm_ctl(id, IPC_SET, &unknown));
  say("refused IPC_SET: ctime the same %d", stat_of(id).shm_ctime == first.shm_ctime);
  TRY(shm_ctl(id, IPC_SET, &second));
  second = stat_of(id);
  say("IPC_SET: ctime later %d, atime and dtime kept %d", second.shm_ctime > first.shm_ctime,
      second.shm_atime > first.shm_atime && second.shm_dtime > first.shm_dtime);
  at = attach(id);
  const time_t before_removal = stat_of(id).shm_ctime;
  wait_until_after(before_removal);
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say("IPC_RMID: ctime the same %d", stat_of(id).shm_ctime == before_removal);
  TRY(shm_dt(at));
  displaced();
  say("end");
  return 0;
}
