// Who may do what: every permission bit against owner, creator, group, creator's group,
// supplementary group, others and each capability that counts.
#include <linux/capability.h>

#include "transcript.h"

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

#define CAP(name) (1ull << (name))
#define KEY 0x7e57

enum {
  kOwner = 1001,
  kCreator = 1002,
  kOther = 1003,
  kGroup = 2001,
  kCreatorGroup = 2002,
  kOtherGroup = 2003,
};

static const struct identity kIdentities[] = {
    {.name = "owner", .uid = kOwner, .gid = kOtherGroup},
    {.name = "creator", .uid = kCreator, .gid = kOtherGroup},
    {.name = "group", .uid = kOther, .gid = kGroup},
    {.name = "creator's group", .uid = kOther, .gid = kCreatorGroup},
    {.name = "supplementary group",
     .uid = kOther,
     .gid = kOtherGroup,
     .group_count = 2,
     .groups = {77, kGroup}},
    {.name = "creator's group as supplementary",
     .uid = kOther,
     .gid = kOtherGroup,
     .group_count = 1,
     .groups = {kCreatorGroup}},
    {.name = "owner in the group", .uid = kOwner, .gid = kGroup},
    {.name = "other", .uid = kOther, .gid = kOtherGroup},
    {.name = "other with CAP_IPC_OWNER",
     .uid = kOther,
     .gid = kOtherGroup,
     .capabilities = CAP(CAP_IPC_OWNER)},
    {.name = "other with CAP_SYS_ADMIN",
     .uid = kOther,
     .gid = kOtherGroup,
     .capabilities = CAP(CAP_SYS_ADMIN)},
    {.name = "other with CAP_IPC_LOCK",
     .uid = kOther,
     .gid = kOtherGroup,
     .capabilities = CAP(CAP_IPC_LOCK)},
    {.name = "other with CAP_DAC_OVERRIDE",
     .uid = kOther,
     .gid = kOtherGroup,
     .capabilities = CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FOWNER)},
    {.name = "root without capabilities", .uid = 0, .gid = 0},
    {.name = "root with CAP_IPC_OWNER", .uid = 0, .gid = 0, .capabilities = CAP(CAP_IPC_OWNER)},
};

struct attempt {
  int id;
  int index;
  unsigned mode;
  const struct identity* identity;
};

static char letter(long result) {
  if (result >= 0) {
    return '+';
  }
  switch (errno) {
    case EACCES:
      return 'a';
    case EPERM:
      return 'p';
    default:
      return '?';
  }
}

// One line for each identity and mode: '+' allowed, 'a' EACCES, 'p' EPERM.
static void access_attempts(void* argument) {
  const struct attempt* attempt = argument;
  become(attempt->identity);
  char line[32];
  int n = 0;
  struct shmid_ds segment;
  line[n++] = letter(shm_get(KEY, 0, 0));
  line[n++] = letter(shm_get(KEY, 0, 0400));
  line[n++] = letter(shm_get(KEY, 0, 0200));
  line[n++] = letter(shm_get(KEY, 0, 0600));
  line[n++] = letter(shm_get(KEY, 0, 0004));
  line[n++] = letter(shm_get(KEY, 0, 0020));
  line[n++] = letter(shm_get(KEY, 0, 0100));
  line[n++] = letter(shm_get(KEY, 0, IPC_CREAT | 0666));
  line[n++] = ' ';
  long at = shm_at(attempt->id, NULL, 0);
  line[n++] = letter(at);
  at = shm_at(attempt->id, NULL, SHM_RDONLY);
  line[n++] = letter(at);
  at = shm_at(attempt->id, NULL, SHM_EXEC);
  line[n++] = letter(at);
  at = shm_at(attempt->id, NULL, SHM_EXEC | SHM_RDONLY);
  line[n++] = letter(at);
  line[n++] = ' ';
  line[n++] = letter(shm_ctl(attempt->id, IPC_STAT, &segment));
  line[n++] = letter(shm_ctl(attempt->index, SHM_STAT, &segment));
  line[n++] = letter(shm_ctl(attempt->index, SHM_STAT_ANY, &segment));
  line[n] = 0;
  say("mode %03o: %s  %s", attempt->mode, line, attempt->identity->name);
}

static int new_foreign_segment(unsigned mode) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    become(&(struct identity){.uid = kCreator, .gid = kCreatorGroup});
    _exit(shm_get(KEY, 100, IPC_CREAT | IPC_EXCL | 0600) < 0);
  }
  int status;
  if (waitpid(child, &status, 0) != child || status != 0) {
    die("creator");
  }
  const int id = (int)shm_get(KEY, 0, 0);
  struct shmid_ds segment = stat_of(id);
  segment.shm_perm.uid = kOwner;
  segment.shm_perm.gid = kGroup;
  segment.shm_perm.mode = (unsigned short)mode;
  if (shm_ctl(id, IPC_SET, &segment) != 0) {
    die("IPC_SET");
  }
  return id;
}

static void access_matrix(void) {
  say("shmget with 0 r w rw o g x creat; shmat rw r rwx rx; IPC_STAT SHM_STAT SHM_STAT_ANY");
  static const unsigned kModes[] = {0,    0400, 0200, 0600, 0100, 0500, 0700, 0040, 0020,
                                    0060, 0070, 0004, 0002, 0006, 0007, 0066, 0666, 0777};
  for (size_t i = 0; i < sizeof kModes / sizeof *kModes; ++i) {
    const int id = new_foreign_segment(kModes[i]);
    for (size_t j = 0; j < sizeof kIdentities / sizeof *kIdentities; ++j) {
      struct attempt attempt = {id, id & 0x7fff, kModes[i], &kIdentities[j]};
      in_child(access_attempts, &attempt);
    }
    if (shm_ctl(id, IPC_RMID, NULL) != 0) {
      die("IPC_RMID");
    }
  }
}

static void control_attempts(void* argument) {
  const struct attempt* attempt = argument;
  become(attempt->identity);
  say("%s", attempt->identity->name);
  struct shmid_ds segment;
  memset(&segment, 0, sizeof segment);
  segment.shm_perm.uid = kOwner;
  segment.shm_perm.gid = kGroup;
  segment.shm_perm.mode = 0600;
  TRY(shm_ctl(attempt->id, SHM_LOCK, NULL));
  TRY(shm_ctl(attempt->id, SHM_UNLOCK, NULL));
  TRY(shm_ctl(attempt->id, IPC_SET, &segment));
  TRY(shm_ctl(attempt->id, IPC_RMID, NULL));
}

static void control_matrix(void) {
  for (size_t j = 0; j < sizeof kIdentities / sizeof *kIdentities; ++j) {
    const int id = new_foreign_segment(0777);
    struct attempt attempt = {id, 0, 0777, &kIdentities[j]};
    in_child(control_attempts, &attempt);
    shm_ctl(id, IPC_RMID, NULL);
  }
}

// The owner may give a segment away; the creator keeps its rights.
static void gives_away(void* argument) {
  const int id = *(int*)argument;
  become(&(struct identity){.uid = kOwner, .gid = kOtherGroup});
  struct shmid_ds segment;
  if (shm_ctl(id, IPC_STAT, &segment) != 0) {
    die("IPC_STAT");
  }
  segment.shm_perm.uid = kOther;
  TRY(shm_ctl(id, IPC_SET, &segment));
  TRY(shm_ctl(id, IPC_SET, &segment));
  TRY(shm_at(id, NULL, 0));
}

static void creator_takes_back(void* argument) {
  const int id = *(int*)argument;
  become(&(struct identity){.uid = kCreator, .gid = kOtherGroup});
  struct shmid_ds segment = stat_of(id);
  say("uid %u cuid %u", segment.shm_perm.uid, segment.shm_perm.cuid);
  segment.shm_perm.uid = kCreator;
  TRY(shm_ctl(id, IPC_SET, &segment));
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

// What counts are the ids at the time of each call: an attach outlives the right to it.
static void drops_identity(void* argument) {
  const int id = *(int*)argument;
  char* at = attach(id);
  become(&(struct identity){.uid = kOther, .gid = kOtherGroup});
  TRY(shm_at(id, NULL, 0));
  at[0] = 'd';
  say("still mapped: %c", at[0]);
  TRY(shm_dt(at));
  TRY(shm_at(id, NULL, SHM_RDONLY));
}

// Effective ids count, neither real nor saved ones; and a set capability works at once.
static void effective_ids(void* argument) {
  const int id = *(int*)argument;
  if (setresuid(kOther, kOwner, 0) != 0) {
    die("setresuid");
  }
  TRY(shm_at(id, NULL, 0));
  if (setresuid((uid_t)-1, kOther, (uid_t)-1) != 0) {
    die("setresuid");
  }
  TRY(shm_at(id, NULL, 0));
  if (setresuid((uid_t)-1, 0, (uid_t)-1) != 0) {
    die("setresuid");
  }
  TRY(shm_at(id, NULL, 0));
}

// Credentials are a thread's own: the raw calls change one thread only.
static void* thread_as_other(void* argument) {
  if (syscall(SYS_setresuid, kOther, kOther, kOther) != 0) {
    die("setresuid");
  }
  TRY(shm_at(*(int*)argument, NULL, 0));
  TRY(shm_ctl(*(int*)argument, SHM_LOCK, NULL));
  return NULL;
}

static void thread_credentials(void* argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, thread_as_other, argument) != 0 ||
      pthread_join(thread, NULL) != 0) {
    die("thread");
  }
  TRY(shm_at(*(int*)argument, NULL, 0));
}

static void fs_ids(void* argument) {
  syscall(SYS_setfsuid, kOther);
  TRY(shm_at(*(int*)argument, NULL, 0));
}

int main(void) {
  access_matrix();
  control_matrix();
  int id = new_foreign_segment(0600);
  in_child(gives_away, &id);
  in_child(creator_takes_back, &id);
  id = new_foreign_segment(0600);
  in_child(drops_identity, &id);
  in_child(effective_ids, &id);
  in_child(thread_credentials, &id);
  in_child(fs_ids, &id);
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say("end");
  return 0;
}
