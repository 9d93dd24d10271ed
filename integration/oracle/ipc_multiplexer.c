// ipc(2), as only i386 programs have it: its shm sub-calls, and the layouts from before IPC_64.
#include "transcript.h"

#ifndef __i386__
#error "written for i386"
#endif

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

enum { kBufferBytes = 96, kUntouched = 0x5a };

// <linux/ipc.h> and <sys/ipc.h> do not go together.
enum { SEMGET = 2, SEMCTL = 3, MSGSND = 11, MSGGET = 13, MSGCTL = 14 };
enum { SHMAT = 21, SHMDT = 22, SHMGET = 23, SHMCTL = 24, IPC_64 = 0x100 };

static long ipc(unsigned call, long first, long second, void* third, void* pointer, long fifth) {
  return syscall(SYS_ipc, call, first, second, third, pointer, fifth);
}

static const struct {
  const char* name;
  int command;
} kCommands[] = {{"IPC_STAT", IPC_STAT},
                 {"SHM_STAT", SHM_STAT},
                 {"SHM_STAT_ANY", SHM_STAT_ANY},
                 {"IPC_INFO", IPC_INFO},
                 {"SHM_INFO", SHM_INFO}};

// What is different on each run, by its bytes in struct shmid_ds: times and process ids.
struct varying {
  size_t offset;
  size_t size;
};
static const struct varying kOldVarying[] = {{20, 4}, {24, 4}, {28, 4}, {32, 2}, {34, 2}, {0, 0}};
static const struct varying kNewVarying[] = {{40, 4}, {48, 4}, {56, 4}, {64, 4}, {68, 4}, {0, 0}};

static bool is_me(const unsigned char* at, size_t size) {
  const pid_t me = getpid();
  return memcmp(at, &me, size) == 0;
}

// All bytes of the buffer, to the last one that the call wrote.
static void say_bytes(const unsigned char* buffer, const struct varying* varying) {
  char text[3 * kBufferBytes + 1];
  size_t used = 0;
  size_t end = kBufferBytes;
  while (end > 0 && buffer[end - 1] == kUntouched) {
    --end;
  }
  for (size_t i = 0; i < end;) {
    const struct varying* here = varying;
    while (here && here->size && here->offset != i) {
      ++here;
    }
    if (here && here->size) {
      static const unsigned char kZero[4];
      used += (size_t)snprintf(text + used, sizeof text - used, "%s ",
                               !memcmp(buffer + i, kZero, here->size) ? "zero"
                               : is_me(buffer + i, here->size)        ? "me"
                                                                      : "set");
      i += here->size;
    } else {
      used += (size_t)snprintf(text + used, sizeof text - used, "%02x", buffer[i++]);
    }
  }
  say("  %zu bytes: %.*s", end, (int)used, text);
}

// Every command with a structure, by both versions and by the call of its own.
static void say_all(int id) {
  for (size_t i = 0; i < sizeof kCommands / sizeof *kCommands; ++i) {
    const int command = kCommands[i].command;
    const int target = command == IPC_STAT ? id : id & 0x7fff;
    const bool segment = command != IPC_INFO && command != SHM_INFO;
    unsigned char buffer[kBufferBytes];
    memset(buffer, kUntouched, sizeof buffer);
    reportf(ipc(SHMCTL, target, command, NULL, buffer, 0), "%s", kCommands[i].name);
    say_bytes(buffer, segment ? kOldVarying : NULL);
    memset(buffer, kUntouched, sizeof buffer);
    reportf(ipc(SHMCTL, target, command | IPC_64, NULL, buffer, 0), "%s|IPC_64", kCommands[i].name);
    say_bytes(buffer, segment ? kNewVarying : NULL);
    memset(buffer, kUntouched, sizeof buffer);
    reportf(shm_ctl(target, command, buffer), "%s by shmctl", kCommands[i].name);
    say_bytes(buffer, segment ? kNewVarying : NULL);
    memset(buffer, kUntouched, sizeof buffer);
    reportf(shm_ctl(target, command | IPC_64, buffer), "%s|IPC_64 by shmctl", kCommands[i].name);
    say_bytes(buffer, NULL);
  }
}

struct old_perm {
  int32_t key;
  uint16_t uid, gid, cuid, cgid, mode, seq;
};

// Ids of 32 bits in fields of 16, and back.
static void ids(void) {
  const int id = (int)shm_get(0x4711, 3 * PAGE + 1, IPC_CREAT | 0640);
  say_all(id);
  static const uid_t kIds[] = {0, 1, 65533, 65534, 65535, 65536, 65537, 100000, 0x7fffffff};
  for (size_t i = 0; i < sizeof kIds / sizeof *kIds; ++i) {
    struct shmid_ds segment = stat_of(id);
    segment.shm_perm.uid = kIds[i];
    segment.shm_perm.gid = kIds[i] + 1;
    reportf(shm_ctl(id, IPC_SET, &segment), "owner %u", kIds[i]);
    unsigned char buffer[kBufferBytes];
    memset(buffer, kUntouched, sizeof buffer);
    TRY(ipc(SHMCTL, id, IPC_STAT, NULL, buffer, 0));
    say_bytes(buffer, kOldVarying);
    struct old_perm wanted = {
        .uid = (uint16_t)kIds[i], .gid = (uint16_t)(kIds[i] + 3), .mode = 0xffff};
    TRY(ipc(SHMCTL, id, IPC_SET, NULL, &wanted, 0));
    segment = stat_of(id);
    say("  uid %u gid %u mode %o", segment.shm_perm.uid, segment.shm_perm.gid,
        segment.shm_perm.mode);
  }
  TRY(ipc(SHMCTL, id, IPC_RMID, NULL, NULL, 0));
}

static void attached(void) {
  const int id = new_segment(2 * PAGE);
  uint32_t at = 0;
  TRY(ipc(SHMAT, id, 0, &at, NULL, 0));
  *(char*)(uintptr_t)at = 'x';
  say_all(id);
  TRY(ipc(SHMCTL, id, SHM_LOCK, NULL, NULL, 0));
  TRY(ipc(SHMCTL, id, IPC_RMID, NULL, NULL, 0));
  say_all(id);
  TRY(ipc(SHMCTL, id, SHM_UNLOCK | IPC_64, NULL, NULL, 0));
  TRY(ipc(SHMDT, 0, 0, NULL, (void*)(uintptr_t)at, 0));
  TRY(ipc(SHMCTL, id, IPC_STAT, NULL, NULL, 0));
}

// shm_nattch of 16 bits, and more mappings than those can count.
static void many(void) {
  enum { kAttaches = 6000, kChildren = 11 };
  const int id = new_segment(PAGE);
  for (int i = 0; i < kAttaches; ++i) {
    attach(id);
  }
  pid_t children[kChildren];
  fflush(stdout);
  for (int i = 0; i < kChildren; ++i) {
    children[i] = fork();
    if (children[i] == 0) {
      pause();
      _exit(1);
    }
  }
  unsigned char buffer[kBufferBytes];
  memset(buffer, kUntouched, sizeof buffer);
  uint16_t count = 0;
  TRY(ipc(SHMCTL, id, IPC_STAT, NULL, buffer, 0));
  memcpy(&count, buffer + 36, sizeof count);
  say("%lu mappings, or %u", nattch_of(id), count);
  for (int i = 0; i < kChildren; ++i) {
    kill(children[i], SIGKILL);
    waitpid(children[i], NULL, 0);
  }
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

// Larger than the fields that show them.
static void limits(void) {
  struct {
    uint32_t shmmax, shmmin, shmmni, shmseg, shmall, unused[4];
  } info;
  for (int version = 0; version <= IPC_64; version += IPC_64) {
    memset(&info, kUntouched, sizeof info);
    reportf(ipc(SHMCTL, 0, IPC_INFO | version, NULL, &info, 0), "IPC_INFO, version %#x", version);
    say("  shmmax %#x shmmin %#x shmmni %#x shmseg %#x shmall %#x", info.shmmax, info.shmmin,
        info.shmmni, info.shmseg, info.shmall);
  }
}

// The version of the multiplexer itself is in the upper half of its number.
static void versions(void) {
  const int id = new_segment(PAGE);
  struct shmid_ds segment;
  for (unsigned version = 0; version < 4; ++version) {
    uint32_t at = 0;
    reportf(ipc(SHMGET | version << 16, IPC_PRIVATE, 0, NULL, NULL, 0), "SHMGET of nothing, %u",
            version);
    reportf(ipc(SHMAT | version << 16, id, 0, &at, NULL, 0), "SHMAT, version %u", version);
    say("  at %d", at != 0);
    reportf(ipc(SHMCTL | version << 16, id, IPC_STAT | IPC_64, NULL, &segment, 0),
            "SHMCTL, version %u", version);
    reportf(ipc(SHMDT | version << 16, 0, 0, NULL, (void*)(uintptr_t)at, 0), "SHMDT, version %u",
            version);
  }
  TRY(ipc(SHMCTL | 0x8000u << 16, id, IPC_STAT | IPC_64, NULL, &segment, 0));
  say("nattch %lu", nattch_of(id));
  // The negative, and what is no sub-call.
  static const unsigned kCalls[] = {0, 5, 10, 15, 20, 25, 0xffff, 0xffffffff};
  for (size_t i = 0; i < sizeof kCalls / sizeof *kCalls; ++i) {
    reportf(ipc(kCalls[i], id, 0, NULL, NULL, 0), "ipc(%#x)", kCalls[i]);
  }
  TRY(ipc(SHMCTL, id, -1, NULL, NULL, 0));
  TRY(ipc(SHMCTL, id, (int)0xffffff02, NULL, &segment, 0));
  TRY(ipc(SHMCTL, id, IPC_64, NULL, NULL, 0));
  TRY(ipc(SHMCTL, id, IPC_STAT, NULL, &segment, 0));
}

// Where the address of an attach cannot be told, it is there all the same.
static void untold(void) {
  const int id = new_segment(PAGE);
  TRY(ipc(SHMAT, id, 0, NULL, NULL, 0));
  say("nattch %lu", nattch_of(id));
  char* place = free_range(4 * PAGE);
  TRY(ipc(SHMAT, id, 0, (void*)1, place, 0));
  say("nattch %lu", nattch_of(id));
  TRY(shm_dt(place));
  char* read_only = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TRY(ipc(SHMAT, id, 0, read_only, place, 0));
  say("nattch %lu", nattch_of(id));
  // Buffers that reach into nothing.
  char* edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(edge + PAGE, PAGE);
  for (unsigned left = 0; left <= 48; left += 12) {
    unsigned char* const buffer = (unsigned char*)edge + PAGE - left;
    memset(edge, kUntouched, PAGE);
    reportf(ipc(SHMCTL, id, IPC_STAT, NULL, buffer, 0), "%u bytes of room", left);
    say("  the first word written: %d", left > 0 && buffer[left % 4] != kUntouched);
    reportf(ipc(SHMCTL, id, IPC_SET, NULL, buffer, 0), "IPC_SET of %u bytes", left);
  }
  say("mode %o", stat_of(id).shm_perm.mode);
  TRY(shm_ctl(id, IPC_RMID, NULL));
}

// The other families of ipc(2) are the kernel's.
static void semaphores_and_messages(void) {
  const long semaphore = ipc(SEMGET, IPC_PRIVATE, 1, (void*)0600, NULL, 0);
  reportf(semaphore, "semget");
  int unused = 0;
  TRY(ipc(SEMCTL, semaphore, 0, (void*)IPC_RMID, &unused, 0));
  const long queue = ipc(MSGGET, IPC_PRIVATE, 0600, NULL, NULL, 0);
  reportf(queue, "msgget");
  struct {
    long type;
    char text[4];
  } message = {1, "abc"};
  TRY(ipc(MSGSND, queue, 4, NULL, &message, 0));
  TRY(ipc(MSGCTL, queue, IPC_RMID, NULL, NULL, 0));
}

int main(void) {
  ids();
  attached();
  many();
  limits();
  versions();
  untold();
  semaphores_and_messages();
  say("end");
  return 0;
}
