// shmctl(2) as other user and pid namespaces see it: ids and pids translated, capabilities judged.
#include "transcript.h"

static pid_t outer_pid;

static void write_file(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY);
  if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
    die(path);
  }
  close(fd);
}

static const char* name_of(pid_t pid) {
  return pid == 0           ? "nobody"
         : pid == getpid()  ? "me"
         : pid == getppid() ? "my parent"
         : pid == outer_pid ? "the first"
                            : "somebody";
}

static void look(const char* who, int id) {
  struct shmid_ds segment;
  if (shm_ctl(id, IPC_STAT, &segment) != 0) {
    say("%s: %s", who, strerrorname_np(errno));
    return;
  }
  say("%s: uid %u gid %u cuid %u cgid %u mode %o nattch %lu cpid %s lpid %s", who,
      segment.shm_perm.uid, segment.shm_perm.gid, segment.shm_perm.cuid, segment.shm_perm.cgid,
      segment.shm_perm.mode, (unsigned long)segment.shm_nattch, name_of(segment.shm_cpid),
      name_of(segment.shm_lpid));
}

static void set_owner(int id, uid_t uid, gid_t gid) {
  struct shmid_ds segment;
  memset(&segment, 0, sizeof segment);
  segment.shm_perm.uid = uid;
  segment.shm_perm.gid = gid;
  segment.shm_perm.mode = 0666;
  reportf(shm_ctl(id, IPC_SET, &segment), "IPC_SET to %u and %u", uid, gid);
  look("then", id);
}

// Root outside is 7 and 8 here; no others are known.
static void in_user_namespace(void* argument) {
  const int id = *(int*)argument;
  if (unshare(CLONE_NEWUSER) != 0) {
    die("unshare of the user namespace");
  }
  look("without a map", id);
  write_file("/proc/self/uid_map", "7 0 1\n");
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/gid_map", "8 0 1\n");
  look("as 7 and 8", id);
  set_owner(id, 7, 8);
  set_owner(id, 0, 8);
  set_owner(id, 7, 0);
  set_owner(id, (uid_t)-1, 8);
  set_owner(id, 65534, 65534);
  const int own = new_segment(PAGE);
  look("made inside", own);
  TRY(shm_ctl(own, SHM_LOCK, NULL));
  TRY(shm_ctl(own, SHM_UNLOCK, NULL));
  TRY(shm_ctl(own, IPC_RMID, NULL));
}

// All capabilities, but over other namespaces than the one that owns the segments.
static void with_borrowed_power(void* argument) {
  const int id = *(int*)argument;
  become(&(struct identity){.uid = 1000, .gid = 1000});
  TRY(unshare(CLONE_NEWUSER));
  look("another user's", id);
  TRY(shm_at(id, NULL, 0) == -1 ? -1 : 0);
  TRY(shm_ctl(id, IPC_RMID, NULL));
  TRY(shm_ctl(id, SHM_LOCK, NULL));
  TRY(unshare(CLONE_NEWIPC));
  const int own = new_segment(PAGE);
  look("made inside", own);
  TRY(shm_ctl(own, SHM_LOCK, NULL));
  look("locked", own);
  TRY(shm_ctl(own, IPC_RMID, NULL));
}

static void attaches(void* argument) {
  const int id = *(int*)argument;
  char* at = attach(id);
  look("attached", id);
  shm_dt(at);
}

static void creates(void* argument) {
  *(int*)argument = new_segment(PAGE);
  look("created", *(int*)argument);
}

static void first_of_pid_namespace(void* argument) {
  look("the first process inside", *(int*)argument);
  attaches(argument);
  int* made = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  in_child(creates, made);
  look("of a process that is gone", *made);
  TRY(shm_ctl(*made, IPC_RMID, NULL));
  if (getppid() == 0 && outer_pid != 0) {
    outer_pid = 0;
    TRY(unshare(CLONE_NEWPID));
    in_child(first_of_pid_namespace, argument);
    look("after one further in", *(int*)argument);
  }
}

static void in_pid_namespace(void* argument) {
  TRY(unshare(CLONE_NEWPID));
  in_child(first_of_pid_namespace, argument);
  look("from outside", *(int*)argument);
}

int main(void) {
  outer_pid = getpid();
  int id = new_segment(PAGE);
  attaches(&id);
  in_child(in_user_namespace, &id);
  look("afterwards", id);
  in_child(with_borrowed_power, &id);
  look("afterwards", id);
  in_child(in_pid_namespace, &id);
  look("afterwards", id);
  in_child(attaches, &id);
  look("after a child's attach", id);
  TRY(shm_ctl(id, IPC_RMID, NULL));
  say("end");
  return 0;
}
