// A process that never leaves the kernel, and a bystander who asks about segments.
//
// The attackers serve a file system of their own (FUSE) which answers everything but FLUSH. An exec
// that closes a file of it waits for that answer, inside of exec_update_lock: whoever opens
// /proc/PID/maps of such a process waits as well, killable only.
//
// stuck_exec FOLDER ATTACKERS: prints the bystander's shm_nattch before, while and after the
// attackers are stuck, and on standard error its slowest IPC_STAT. Status 1 where a number is not
// what the kernel's own is (natively the same program must say the same).
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char* what) {
  perror(what);
  exit(2);
}

static void answer(int fuse, unsigned long long unique, int error, const void* body, size_t size) {
  struct fuse_out_header header = {(unsigned)(sizeof(header) + size), error, unique};
  const struct iovec parts[] = {{&header, sizeof(header)}, {(void*)(size_t)body, size}};
  if (writev(fuse, parts, size == 0 ? 1 : 2) < 0 && errno != ENOENT) die("answer");
}

static struct fuse_attr attributes(unsigned long long inode) {
  struct fuse_attr attr = {0};
  attr.ino = inode;
  attr.mode = inode == FUSE_ROOT_ID ? 040755 : 0100644;
  attr.nlink = 1;
  return attr;
}

/// Every name is a file, every file can be opened, and FLUSH is never answered.
static void serve(int fuse) {
  static char request[1 << 20];
  for (;;) {
    const ssize_t got = read(fuse, request, sizeof(request));
    if (got < 0 && (errno == EINTR || errno == ENOENT)) continue;
    if (got < (ssize_t)sizeof(struct fuse_in_header)) exit(0);
    struct fuse_in_header in;
    memcpy(&in, request, sizeof(in));
    switch (in.opcode) {
      case FUSE_INIT: {
        struct fuse_init_out out = {0};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = 31;
        out.max_write = 4096;
        answer(fuse, in.unique, 0, &out, sizeof(out));
        break;
      }
      case FUSE_LOOKUP: {
        struct fuse_entry_out out = {0};
        out.nodeid = 2;
        out.attr = attributes(2);
        out.entry_valid = out.attr_valid = 1000;
        answer(fuse, in.unique, 0, &out, sizeof(out));
        break;
      }
      case FUSE_GETATTR: {
        struct fuse_attr_out out = {0};
        out.attr = attributes(in.nodeid);
        out.attr_valid = 1000;
        answer(fuse, in.unique, 0, &out, sizeof(out));
        break;
      }
      case FUSE_OPEN:
      case FUSE_OPENDIR: {
        struct fuse_open_out out = {0};
        answer(fuse, in.unique, 0, &out, sizeof(out));
        break;
      }
      case FUSE_FLUSH:
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT:
        break;
      default:
        answer(fuse, in.unique, -ENOSYS, NULL, 0);
    }
  }
}

static pid_t mount_and_serve(const char* folder) {
  const int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fuse < 0) die("/dev/fuse");
  char options[100];
  snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
  if (mount("hostile", folder, "fuse", 0, options) != 0) die("mount");
  const pid_t server = fork();
  if (server == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    serve(fuse);
  }
  close(fuse);
  return server;
}

static pid_t attack(const char* file, int id) {
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) die("pipe2");
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (shmat(id, NULL, 0) == (void*)-1) die("the attacker's shmat");
    if (open(file, O_RDWR | O_CLOEXEC) < 0) die(file);
    if (write(ready[1], "", 1) != 1) die("write");
    execl("/bin/true", "true", (char*)NULL);
    die("exec");
  }
  close(ready[1]);
  char byte;
  if (read(ready[0], &byte, 1) != 1) die("no attacker");
  close(ready[0]);
  return pid;
}

static double slowest_seconds;

static unsigned long attaches(int id) {
  struct timespec begin;
  struct timespec end;
  struct shmid_ds ds;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  if (shmctl(id, IPC_STAT, &ds) != 0) die("IPC_STAT");
  clock_gettime(CLOCK_MONOTONIC, &end);
  const double took =
      (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
  if (took > slowest_seconds) slowest_seconds = took;
  return ds.shm_nattch;
}

static int look(const char* when, int shared, int own) {
  const unsigned long of_shared = attaches(shared);
  const unsigned long of_own = attaches(own);
  printf("%s: %lu attach(es) of the shared segment, %lu of the bystander's own\n", when, of_shared,
         of_own);
  return of_shared == 1 && of_own == 1 ? 0 : 1;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int count = atoi(argv[2]);
  char file[4096];
  snprintf(file, sizeof(file), "%s/file", argv[1]);
  const pid_t server = mount_and_serve(argv[1]);
  const int shared = shmget(IPC_PRIVATE, 4096, 0600);
  const int own = shmget(IPC_PRIVATE, 4096, 0600);
  if (shared < 0 || own < 0) die("shmget");
  if (shmat(shared, NULL, 0) == (void*)-1 || shmat(own, NULL, 0) == (void*)-1) die("shmat");
  int bad = look("before", shared, own);
  for (int i = 0; i < count; ++i) attack(file, shared);
  usleep(300000);  // until they are in exec
  for (int i = 0; i < 20; ++i) bad |= look("meanwhile", shared, own);
  // Who reads the table must not hang either.
  const pid_t reader = fork();
  if (reader == 0) {
    const int table = open("/proc/sysvipc/shm", O_RDONLY);
    char text[65536];
    while (read(table, text, sizeof(text)) > 0) {
    }
    _exit(0);
  }
  int status = -1;
  for (int i = 0; i < 100 && waitpid(reader, &status, WNOHANG) == 0; ++i) usleep(20000);
  if (status != 0) {
    printf("the table's reader hangs\n");
    bad = 1;
  }
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
  for (int i = 0; i < count; ++i) wait(NULL);
  bad |= look("after", shared, own);
  umount2(argv[1], MNT_DETACH);
  shmctl(shared, IPC_RMID, NULL);
  shmctl(own, IPC_RMID, NULL);
  fprintf(stderr, "%.1f\n", slowest_seconds * 1000);
  return bad;
}
