// Attaches while other threads use, and misuse, the descriptor table that they all share. shmat(2)
// has nothing to do with descriptors: none of this may be seen in what it maps or answers, nor may
// it be seen in the table.
#include <stdatomic.h>

#include "transcript.h"

enum { kAttaches = 3000, kKeptDescriptors = 3 };

static atomic_bool over;
static char file_name[] = "shared_table.XXXXXX";
static atomic_long wrong_numbers;
static atomic_long lost_files;

// Closes one descriptor twice: the second time the number may be anybody's.
static void* close_twice(void* unused) {
  while (!atomic_load(&over)) {
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd);
    close(fd);
  }
  return unused;
}

static void* open_files(void* unused) {
  while (!atomic_load(&over)) {
    const int fd = open(file_name, O_RDWR | O_CLOEXEC);
    sched_yield();
    close(fd);
  }
  return unused;
}

static void* close_all(void* unused) {
  while (!atomic_load(&over)) {
    close_range(kKeptDescriptors, ~0u, 0);
    sched_yield();
  }
  return unused;
}

// The only thread that opens anything: each file gets the lowest number and stays until it is
// closed.
static void* count_on_numbers(void* unused) {
  const int lowest = open(file_name, O_RDWR | O_CLOEXEC);
  close(lowest);
  while (!atomic_load(&over)) {
    int fds[4];
    for (int i = 0; i < 4; ++i) {
      fds[i] = open(file_name, O_RDWR | O_CLOEXEC);
      if (fds[i] != lowest + i) {
        atomic_fetch_add(&wrong_numbers, 1);
      }
    }
    for (int i = 0; i < 4; ++i) {
      if (close(fds[i]) != 0) {
        atomic_fetch_add(&lost_files, 1);
      }
    }
  }
  return unused;
}

static void attach_beside(const char* what, void* (*first)(void*), void* (*second)(void*)) {
  const int id = new_segment(PAGE);
  char* const held = attach(id);
  memcpy(held, "segment", 8);
  atomic_store(&over, false);
  pthread_t threads[2];
  pthread_create(&threads[0], NULL, first, NULL);
  if (second != NULL) {
    pthread_create(&threads[1], NULL, second, NULL);
  }
  long failed = 0;
  long elsewhere = 0;
  for (int i = 0; i < kAttaches; ++i) {
    const long at = shm_at(id, NULL, 0);
    if (at == -1) {
      if (failed++ == 0) {
        say("shmat: %s", strerrorname_np(errno));
      }
      continue;
    }
    if (memcmp((const char*)at, "segment", 8) != 0) {
      ++elsewhere;
    }
    ((volatile char*)at)[100] = (char)i;
    if (held[100] != (char)i) {
      ++elsewhere;
    }
    if (shm_dt((void*)at) != 0) {
      ++failed;
    }
  }
  const unsigned long attached = nattch_of(id);
  atomic_store(&over, true);
  pthread_join(threads[0], NULL);
  if (second != NULL) {
    pthread_join(threads[1], NULL);
  }
  say("%s: %ld failed, %ld elsewhere, %lu attached", what, failed, elsewhere, attached);
  shm_dt(held);
  shm_ctl(id, IPC_RMID, NULL);
}

int main(void) {
  const int fd = mkstemp(file_name);
  static const char zeros[LARGEST_PAGE];
  if (fd < 0 || write(fd, zeros, PAGE) != (ssize_t)PAGE) {
    die("mkstemp");
  }
  close(fd);
  attach_beside("a thread closes twice, another opens", close_twice, open_files);
  attach_beside("a thread closes all there are", close_all, open_files);
  attach_beside("a thread counts on its numbers", count_on_numbers, NULL);
  say("%ld wrong numbers, %ld lost files", atomic_load(&wrong_numbers), atomic_load(&lost_files));
  struct stat status;
  static char bytes[LARGEST_PAGE];
  const int again = open(file_name, O_RDONLY);
  if (again < 0 || read(again, bytes, PAGE) != (ssize_t)PAGE || fstat(again, &status) != 0) {
    die(file_name);
  }
  say("the file is %s", memcmp(bytes, zeros, PAGE) == 0 ? "as it was" : "written to");
  unlink(file_name);
  say("end");
  return 0;
}
