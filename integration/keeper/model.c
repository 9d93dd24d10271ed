// model SECONDS SEED PROCESSES [FIRST]: for so long, or until its input ends, each process makes,
// attaches, fills, reads, changes and removes segments at random, and holds every result against a
// model of its own. FIRST: of their numbers, for another model beside it. Ends with 0 where all
// were as the model has them; prints how many calls there were and the longest in µs.
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kSegments = 24, kAttaches = 4 };

struct segment {
  int id;  // -1: none
  key_t key;
  size_t bytes;
  unsigned mode;
  unsigned stamp;  // what its pages begin with
  int attached;
  int removed;
  unsigned char* at[kAttaches];
};

static struct segment segments[kSegments];
static unsigned state;
static long calls;
static long longest;
static int key_base;

static unsigned draw(unsigned below) {
  state = state * 1664525u + 1013904223u;
  return (state >> 8) % below;
}

static long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000L + time.tv_nsec / 1000;
}

static void diverge(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "model: pid %d, call %ld: ", (int)getpid(), calls);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

#define TIMED(expression)                         \
  __extension__({                                 \
    const long begun_ = now();                    \
    errno = 0;                                    \
    __typeof__(expression) value_ = (expression); \
    const int error_ = errno;                     \
    const long took_ = now() - begun_;            \
    if (took_ > longest) longest = took_;         \
    ++calls;                                      \
    errno = error_;                               \
    value_;                                       \
  })

static void stamp(struct segment* one) {
  for (size_t at = 0; at < one->bytes; at += 4096)
    memcpy(one->at[0] + at, &one->stamp, sizeof(one->stamp));
}

static void check_contents(const struct segment* one, const unsigned char* place) {
  for (size_t at = 0; at < one->bytes; at += 4096) {
    unsigned found;
    memcpy(&found, place + at, sizeof(found));
    if (found != one->stamp) {
      diverge("segment %d has %u at %zu, not %u", one->id, found, at, one->stamp);
    }
  }
}

static void check_status(const struct segment* one) {
  struct shmid_ds status;
  if (TIMED(shmctl(one->id, IPC_STAT, &status)) != 0) {
    diverge("IPC_STAT of %d: %s", one->id, strerror(errno));
  }
  if (status.shm_nattch != (shmatt_t)one->attached || status.shm_segsz != one->bytes ||
      (status.shm_perm.mode & 0777) != one->mode || status.shm_cpid != getpid() ||
      !!(status.shm_perm.mode & SHM_DEST) != one->removed ||
      (!one->removed && status.shm_perm.__key != one->key)) {
    diverge(
        "IPC_STAT of %d: nattch %lu not %d, size %zu not %zu, mode %o not %o removed %d, cpid %d, "
        "key %x not %x",
        one->id, (unsigned long)status.shm_nattch, one->attached, status.shm_segsz, one->bytes,
        (unsigned)status.shm_perm.mode, one->mode, one->removed, (int)status.shm_cpid,
        (unsigned)status.shm_perm.__key, (unsigned)one->key);
  }
}

static void create(struct segment* one, int slot) {
  one->bytes = 1 + draw(6 * 4096);
  one->mode = 0600 | (draw(2) ? 0060 : 0);
  one->key = draw(3) == 0 ? IPC_PRIVATE : key_base + slot;
  one->attached = one->removed = 0;
  one->stamp = 0;
  one->id = TIMED(shmget(one->key, one->bytes, IPC_CREAT | IPC_EXCL | (int)one->mode));
  if (one->id < 0) diverge("shmget of key %x: %s", (unsigned)one->key, strerror(errno));
  for (int other = 0; other < kSegments; ++other) {
    if (other != slot && segments[other].id == one->id) diverge("shmget: %d twice", one->id);
  }
}

static void find(const struct segment* one) {
  if (one->key == IPC_PRIVATE || one->removed) return;
  const int id = TIMED(shmget(one->key, 0, 0));
  if (id != one->id)
    diverge("key %x has %d (%s), not %d", (unsigned)one->key, id, strerror(errno), one->id);
  const int refused = TIMED(shmget(one->key, 1, IPC_CREAT | IPC_EXCL | 0600));
  if (refused != -1 || errno != EEXIST)
    diverge("IPC_EXCL of key %x: %d", (unsigned)one->key, refused);
}

static void attach(struct segment* one) {
  if (one->attached == kAttaches) return;
  void* const place = TIMED(shmat(one->id, NULL, 0));
  if (place == (void*)-1) diverge("shmat of %d: %s", one->id, strerror(errno));
  one->at[one->attached++] = place;
  check_contents(one, place);
  if (draw(2)) {
    one->stamp = draw(1u << 20);
    stamp(one);
    check_contents(one, place);
  }
}

static void detach(struct segment* one) {
  if (one->attached == 0) return;
  unsigned char* const place = one->at[--one->attached];
  check_contents(one, place);
  if (TIMED(shmdt(place)) != 0) diverge("shmdt of %d: %s", one->id, strerror(errno));
  if (one->removed && one->attached == 0) one->id = -1;
}

static void change(struct segment* one) {
  struct shmid_ds status;
  memset(&status, 0, sizeof(status));
  one->mode = 0600 | (draw(2) ? 0006 : 0);
  status.shm_perm.mode = (unsigned short)one->mode;
  status.shm_perm.uid = getuid();
  status.shm_perm.gid = getgid();
  if (TIMED(shmctl(one->id, IPC_SET, &status)) != 0)
    diverge("IPC_SET of %d: %s", one->id, strerror(errno));
}

static void remove_segment(struct segment* one) {
  if (one->removed) return;
  if (TIMED(shmctl(one->id, IPC_RMID, NULL)) != 0)
    diverge("IPC_RMID of %d: %s", one->id, strerror(errno));
  const int old = one->id;
  one->removed = 1;
  if (one->attached == 0) one->id = -1;
  if (one->id < 0) {
    struct shmid_ds status;
    if (TIMED(shmctl(old, IPC_STAT, &status)) != -1 || (errno != EINVAL && errno != EIDRM)) {
      diverge("IPC_STAT of %d, which is removed: %s", old, strerror(errno));
    }
  }
}

static int input_ended(void) {
  struct pollfd input = {STDIN_FILENO, POLLIN, 0};
  return poll(&input, 1, 0) > 0 && (input.revents & POLLHUP) != 0;
}

static int act(double seconds, unsigned seed, int number) {
  state = seed * 7919u + (unsigned)number;
  key_base = 0x5eed0000 + number * kSegments;
  for (int slot = 0; slot < kSegments; ++slot) segments[slot].id = -1;
  const long end = now() + (long)(seconds * 1e6);
  while (now() < end && !input_ended()) {
    const int slot = (int)draw(kSegments);
    struct segment* const one = &segments[slot];
    if (one->id < 0) {
      create(one, slot);
      continue;
    }
    switch (draw(10)) {
      case 0:
      case 1:
      case 2:
        attach(one);
        break;
      case 3:
      case 4:
        detach(one);
        break;
      case 5:
      case 6:
        check_status(one);
        break;
      case 7:
        find(one);
        break;
      case 8:
        if (!one->removed) change(one);
        break;
      default:
        if (draw(3) == 0) remove_segment(one);
    }
  }
  for (int slot = 0; slot < kSegments; ++slot) {
    struct segment* const one = &segments[slot];
    if (one->id < 0) continue;
    check_status(one);
    while (one->id >= 0 && one->attached > 0) detach(one);
    if (one->id >= 0) remove_segment(one);
  }
  printf("%ld calls, the longest %ld µs\n", calls, longest);
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) return 2;
  printf("ready\n");
  fflush(stdout);
  const int processes = atoi(argv[3]);
  const int first = argc > 4 ? atoi(argv[4]) : 0;
  for (int number = first; number < first + processes; ++number) {
    const pid_t pid = fork();
    if (pid < 0) return 2;
    if (pid == 0) return act(atof(argv[1]), (unsigned)atoi(argv[2]), number);
  }
  int worst = 0;
  for (int number = 0; number < processes; ++number) {
    int status = 0;
    wait(&status);
    if (WIFSIGNALED(status)) fprintf(stderr, "model: killed by signal %d\n", WTERMSIG(status));
    if (status != 0) worst = 1;
  }
  return worst;
}
