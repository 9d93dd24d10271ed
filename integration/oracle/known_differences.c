// What is known to differ and is left out of the other programs: not part of the tests.
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <time.h>

#include "transcript.h"

static const char* relation(pid_t pid) { return pid == 0 ? "0" : pid == getpid() ? "me" : "other"; }

static void* unused_body(void* unused) { return unused; }

// Natively each fork counts as an attach and each exit or munmap as a detach.
static void bookkeeping_by_fork_and_exit(void) {
  const int id = new_segment(PAGE);
  char* at = attach(id);
  const struct shmid_ds before = stat_of(id);
  while (time(NULL) <= before.shm_atime + 1) {
    usleep(20000);
  }
  in_child((void (*)(void*))(void (*)(void))unused_body, NULL);
  struct shmid_ds after = stat_of(id);
  say("fork: atime later %d, dtime set %d, lpid %s", after.shm_atime > before.shm_atime,
      after.shm_dtime != 0, relation(after.shm_lpid));
  munmap(at, PAGE);
  after = stat_of(id);
  say("munmap: dtime set %d, lpid %s", after.shm_dtime != 0, relation(after.shm_lpid));
}

// Natively two mappings of shm never become one again.
static void merging(void) {
  const int id = new_segment(3 * PAGE);
  char* at = attach(id);
  mprotect(at + PAGE, PAGE, PROT_READ);
  say("split: nattch %lu", nattch_of(id));
  mprotect(at + PAGE, PAGE, PROT_READ | PROT_WRITE);
  say("as before: nattch %lu", nattch_of(id));
}

static void name_in_maps(void) {
  const int id = (int)shm_get(0xabc, PAGE, IPC_CREAT | 0600);
  char* at = attach(id);
  FILE* maps = fopen("/proc/self/maps", "r");
  char line[512];
  while (fgets(line, sizeof line, maps)) {
    unsigned long start;
    if (sscanf(line, "%lx-", &start) == 1 && start == (uintptr_t)at) {
      const char* name = strchr(line, '/');
      say("name %s, inode is the identifier %d", name ? strtok(strdup(name), "\n") : "none",
          strstr(line, " 0  ") == NULL);
    }
  }
  fclose(maps);
}

// Natively a userfaultfd cannot watch an attach: vma_is_shmem() is not for shm_vm_ops.
static void watched_attach(void) {
  const int id = new_segment(PAGE);
  const struct uffdio_range range = {(uintptr_t)attach(id), PAGE};
  const int watcher = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
  if (watcher < 0) {
    say("no userfaultfd here");
    return;
  }
  struct uffdio_api api = {.api = UFFD_API};
  struct uffdio_register wish = {.range = range, .mode = UFFDIO_REGISTER_MODE_MISSING};
  TRY(ioctl(watcher, UFFDIO_API, &api));
  TRY(ioctl(watcher, UFFDIO_REGISTER, &wish));
  close(watcher);
}

static void listens(void* unused) {
  (void)unused;
  TRY(filter_call(SYS_shmget, SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_RET_USER_NOTIF));
}

// ENOSYS natively, where nobody traces.
static void leaves_it_to_a_tracer(void* unused) {
  (void)unused;
  TRY(filter_call(SYS_shmget, 0, SECCOMP_RET_TRACE));
  TRY(shm_get(IPC_PRIVATE, PAGE, 0600));
}

static void goes_into_strict_mode(void* unused) {
  (void)unused;
  TRY(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
  syscall(SYS_exit, 0);
}

// x86 lets the kernel read what may only be written, and holds it to the protection keys.
static void odd_buffers(void) {
  const int id = new_segment(PAGE);
  char* buffer = mmap(NULL, PAGE, PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TRY(shm_ctl(id, IPC_STAT, buffer));
  TRY(shm_ctl(id, IPC_SET, buffer));
  const int key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
  if (key > 0 && pkey_mprotect(buffer, PAGE, PROT_READ | PROT_WRITE, key) == 0) {
    TRY(shm_ctl(id, IPC_STAT, buffer));
  }
}

// The memfd is shmvisor's and nobody else's: to others mincore calls all of it resident.
static void residency_for_another_user(void* unused) {
  (void)unused;
  const int id = new_segment(2 * PAGE);
  *attach(id) = 'x';
  struct shmid_ds segment = stat_of(id);
  segment.shm_perm.mode = 0444;
  TRY(shm_ctl(id, IPC_SET, &segment));
  become(&(struct identity){.uid = 1000, .gid = 1000});
  unsigned char pages[2] = {9, 9};
  TRY(mincore((void*)shm_at(id, NULL, SHM_RDONLY), 2 * PAGE, pages));
  say("resident: %d %d", pages[0], pages[1]);
}

// Only with CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE; natively it is not an attach.
static void file_of_a_mapping(void) {
  const int id = new_segment(2 * PAGE);
  char* at = attach(id);
  char name[64];
  snprintf(name, sizeof name, "/proc/self/map_files/%lx-%lx", (unsigned long)(uintptr_t)at,
           (unsigned long)(uintptr_t)at + 2 * PAGE);
  const int file = open(name, O_RDWR | O_CLOEXEC);
  if (file < 0) {
    say("map_files is out of reach");
    return;
  }
  TRY(ftruncate(file, 4 * PAGE));
  mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
  say("mapped by hand: nattch %lu", nattch_of(id));
  close(file);
}

// What goes through the page cache is refused, so that programs read(2) instead.
static void copies_of_proc_files(void) {
  static const char* const kFiles[] = {"/proc/sysvipc/shm", "/proc/sys/kernel/shmmni"};
  for (int i = 0; i < 2; ++i) {
    const int file = open(kFiles[i], O_RDONLY | O_CLOEXEC);
    const int copy = memfd_create("copy", MFD_CLOEXEC);
    off_t from = 0;
    TRY_VALUE(sendfile(copy, file, &from, 2));
    TRY_VALUE(lseek(file, 0, SEEK_END));
    TRY(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, file, 0));
    close(copy);
    close(file);
  }
}

int main(void) {
  bookkeeping_by_fork_and_exit();
  merging();
  name_in_maps();
  watched_attach();
  odd_buffers();
  copies_of_proc_files();
  file_of_a_mapping();
  in_child(residency_for_another_user, NULL);
  in_child(listens, NULL);
  in_child(leaves_it_to_a_tracer, NULL);
  in_child(goes_into_strict_mode, NULL);
  say("end");
  return 0;
}
