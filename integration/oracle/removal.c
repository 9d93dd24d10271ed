// IPC_RMID while a segment is attached, and the last detach by every way there is.
#include "transcript.h"

#define KEY 0xdead

static char* self_path = "/proc/self/exe";

static void say_state(const char* label, int id) {
  struct shmid_ds segment;
  if (shm_ctl(id, IPC_STAT, &segment) != 0) {
    say("%s: %s, used_ids %d, shm_tot %lu", label, strerrorname_np(errno), info_now().used_ids,
        info_now().shm_tot);
  } else {
    say("%s: mode %o key %#x nattch %lu, used_ids %d, shm_tot %lu", label, segment.shm_perm.mode,
        (unsigned)segment.shm_perm.__key, (unsigned long)segment.shm_nattch, info_now().used_ids,
        info_now().shm_tot);
  }
}

static void while_attached(void) {
  const int id = (int)shm_get(KEY, 3 * PAGE, IPC_CREAT | 0640);
  char* at = attach(id);
  at[0] = 'r';
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say_state("removed", id);
  TRY(shm_get(KEY, 0, 0));
  const int successor = (int)TRY(shm_get(KEY, PAGE, IPC_CREAT | IPC_EXCL | 0600));
  say("another segment: %d", successor != id);
  char* again = (char*)TRY(shm_at(id, NULL, 0));
  say("attached by id: %c", again[0]);
  say_state("two attaches", id);
  TRY(shm_ctl(id, IPC_RMID, NULL));
  struct shmid_ds segment = stat_of(id);
  segment.shm_perm.mode = 0600;
  TRY(shm_ctl(id, IPC_SET, &segment));
  say_state("after IPC_SET", id);
  TRY(shm_dt(at));
  say_state("one attach", id);
  TRY(shm_dt(again));
  say_state("none", id);
  TRY(shm_at(id, NULL, 0));
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say("the successor is another: %d", shm_get(KEY, 0, 0) == successor);
  TRY(shm_ctl(successor, IPC_RMID, NULL));
  say_state("removed unattached", successor);
}

static void by_munmap(void) {
  const int id = new_segment(3 * PAGE);
  char* at = attach(id);
  TRY(shm_ctl(id, IPC_RMID, NULL));
  TRY(munmap(at, PAGE));
  say_state("first page unmapped", id);
  TRY(munmap(at + 2 * PAGE, PAGE));
  say_state("last page unmapped", id);
  TRY(munmap(at + PAGE, PAGE));
  say_state("all unmapped", id);
}

static void by_replacing(void) {
  const int id = new_segment(PAGE);
  char* at = attach(id);
  TRY(shm_ctl(id, IPC_RMID, NULL));
  if (mmap(at, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
    die("mmap");
  }
  say_state("replaced by mmap", id);

  const int other = new_segment(PAGE);
  const int third = new_segment(PAGE);
  at = attach(other);
  TRY(shm_ctl(other, IPC_RMID, NULL));
  TRY(shm_at(third, at, SHM_REMAP));
  say_state("replaced by SHM_REMAP", other);
  TRY(shm_ctl(third, IPC_RMID, NULL));
  TRY(shm_dt(at));
  say_state("the third", third);
}

static void by_remap_of_itself(void) {
  // The last attach of a removed segment replaced by another attach of it.
  const int id = new_segment(PAGE);
  char* at = attach(id);
  at[0] = 'i';
  TRY(shm_ctl(id, IPC_RMID, NULL));
  TRY(shm_at(id, at, SHM_REMAP));
  say_state("attached over itself", id);
  say("kept: %c", at[0]);
  TRY(shm_dt(at));
  say_state("detached", id);
}

static void by_mremap(void) {
  const int id = new_segment(2 * PAGE);
  char* at = attach(id);
  TRY(shm_ctl(id, IPC_RMID, NULL));
  char* moved = mremap(at, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, free_range(2 * PAGE));
  say_state("moved", id);
  TRY(munmap(moved, 2 * PAGE));
  say_state("unmapped", id);
}

enum ending { kExit, kKilled, kExec, kDetach, kUnmap, kEndings };

static const char* const kEndingNames[] = {"exit", "SIGKILL", "exec", "shmdt", "munmap"};

// A child that shares the attach by fork ends it in the given way, on the parent's sign.
static pid_t start_sharer(char* at, enum ending ending, const struct turns* turns) {
  fflush(stdout);
  const pid_t child = fork();
  if (child != 0) {
    return child;
  }
  signal_parent(turns);
  await_parent(turns);
  switch (ending) {
    case kExit:
      _exit(0);
    case kKilled:
      kill(getpid(), SIGKILL);
      break;
    case kExec: {
      char in[16];
      char out[16];
      snprintf(in, sizeof in, "%d", turns->to_child[0]);
      snprintf(out, sizeof out, "%d", turns->to_parent[1]);
      execl(self_path, self_path, "wait", in, out, (char*)NULL);
      break;
    }
    case kDetach:
      shm_dt(at);
      break;
    case kUnmap:
      munmap(at, PAGE);
      break;
    case kEndings:
      break;
  }
  signal_parent(turns);
  await_parent(turns);
  _exit(0);
}

// Who holds the last mapping: the parent or the child; and how the child's goes.
static void shared_by_fork(enum ending ending, bool child_is_last) {
  const int id = new_segment(PAGE);
  char* at = attach(id);
  at[0] = 's';
  struct turns turns = make_turns();
  const pid_t child = start_sharer(at, ending, &turns);
  await_child(&turns);
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say_state("shared", id);
  if (child_is_last) {
    TRY(shm_dt(at));
    say_state("child only", id);
  }
  signal_child(&turns);
  if (ending == kExit || ending == kKilled) {
    waitpid(child, NULL, 0);
  } else {
    await_child(&turns);
  }
  say("child ended its attach by %s", kEndingNames[ending]);
  say_state(child_is_last ? "nobody" : "parent only", id);
  if (!child_is_last) {
    TRY(shm_dt(at));
    say_state("nobody", id);
  }
  if (ending != kExit && ending != kKilled) {
    signal_child(&turns);
    waitpid(child, NULL, 0);
  }
  close(turns.to_child[0]);
  close(turns.to_child[1]);
  close(turns.to_parent[0]);
  close(turns.to_parent[1]);
}

// A whole tree of forked children, the grandchild last, with the child between them gone.
static void by_grandchild(void) {
  const int id = new_segment(PAGE);
  char* at = attach(id);
  struct turns turns = make_turns();
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    if (fork() == 0) {
      signal_parent(&turns);
      await_parent(&turns);
      shm_dt(at);
      signal_parent(&turns);
      await_parent(&turns);
      _exit(0);
    }
    _exit(0);
  }
  waitpid(child, NULL, 0);
  await_child(&turns);
  TRY(shm_ctl(id, IPC_RMID, NULL));
  TRY(shm_dt(at));
  say_state("grandchild only", id);
  char* again = (char*)TRY(shm_at(id, NULL, 0));
  say_state("attached once more", id);
  signal_child(&turns);
  await_child(&turns);
  say_state("grandchild detached", id);
  TRY(shm_dt(again));
  say_state("nobody", id);
  signal_child(&turns);
}

// The memory goes with the segment: what a new one shows is zero, and the totals go down.
static void memory_is_freed(void) {
  for (int i = 0; i < 5; ++i) {
    const int id = new_segment(1ul << 20);
    char* at = attach(id);
    int sum = 0;
    for (unsigned long byte = 0; byte < 1ul << 20; byte += PAGE) {
      sum += at[byte];
    }
    memset(at, 0x55, 1ul << 20);
    TRY(shm_ctl(id, IPC_RMID, NULL));
    say("fresh: %d, pages in use %lu", sum == 0, info_now().shm_rss);
    TRY(shm_dt(at));
    say("pages in use %lu of %lu", info_now().shm_rss, info_now().shm_tot);
  }
}

int main(int argc, char** argv) {
  if (argc == 4) {
    struct turns turns = {{atoi(argv[2]), -1}, {-1, atoi(argv[3])}};
    signal_parent(&turns);
    await_parent(&turns);
    return 0;
  }
  while_attached();
  by_munmap();
  by_replacing();
  by_remap_of_itself();
  by_mremap();
  for (int ending = 0; ending < kEndings; ++ending) {
    shared_by_fork((enum ending)ending, true);
    shared_by_fork((enum ending)ending, false);
  }
  by_grandchild();
  memory_is_freed();
  say("segments left: %d", info_now().used_ids);
  say("end");
  return 0;
}
