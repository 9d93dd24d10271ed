// Attaches and detaches from call sites of its own and of the C library, in every way that may
// matter to a supervisor that has them lead elsewhere. What it prints is the same natively.
//
// `call_sites WHAT`, one of the tests below; or `call_sites changed`: whether the C library's
// shmat and shmdt are what they are in its file.
#include "call_sites.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static int changed(const char* name, unsigned char number) {
  const unsigned char* const code = dlsym(RTLD_DEFAULT, name);
  return !(code[0] == 0xb8 && code[1] == number);
}

// --- Code of our own making: a function that attaches, after `extra` bytes of code.

static unsigned char* make_code(const char* extra, int mapping, int protection) {
  static const unsigned char attaches_and_returns[] = {0xb8, SYS_shmat, 0, 0, 0, 0x0f, 0x05, 0xc3};
  const int file = memfd_create("code", 0);
  if (ftruncate(file, 4096) != 0) fail("code");
  unsigned char* const code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, mapping, file, 0);
  memset(code, 0x90, 64);
  memcpy(code + 64, extra, strlen(extra));
  memcpy(code + 64 + strlen(extra), attaches_and_returns, sizeof(attaches_and_returns));
  mprotect(code, 4096, protection);
  close(file);
  return code;
}

/// Whether it is changed after many calls.
static int is_changed(const unsigned char* code) {
  unsigned char kept[256];
  memcpy(kept, code, sizeof(kept));
  long (*const attach)(int, const void*, int) = (long (*)(int, const void*, int))(uintptr_t)code;
  for (int round = 0; round < ENOUGH; ++round) {
    char* const memory = (char*)attach(id, NULL, 0);
    if ((long)memory <= 0 || *memory != 'm' || shmdt(memory) != 0) fail("own code");
  }
  return memcmp(kept, code, sizeof(kept)) != 0;
}

static void test_changed(void) {
  printf("at first: %d %d\n", changed("shmat", SYS_shmat), changed("shmdt", SYS_shmdt));
  often("often");
  printf("then: %d %d\n", changed("shmat", SYS_shmat), changed("shmdt", SYS_shmdt));
  printf("own code: %d\n", is_changed(make_code("", MAP_PRIVATE, PROT_READ | PROT_EXEC)));
}

/// What a program does with its own code, before and after its site leads elsewhere.
static void test_code(void) {
  unsigned char* const code = make_code("", MAP_PRIVATE, PROT_READ | PROT_EXEC);
  unsigned char kept[128];
  memcpy(kept, code, sizeof(kept));
  (void)is_changed(code);
  mprotect(code, 4096, PROT_NONE);
  mprotect(code, 4096, PROT_READ | PROT_EXEC);
  (void)is_changed(code);
  puts("protected otherwise for a while: ok");
  mprotect(code, 4096, PROT_READ | PROT_WRITE);
  memcpy(code, kept, sizeof(kept));
  mprotect(code, 4096, PROT_READ | PROT_EXEC);
  (void)is_changed(code);
  puts("written anew: ok");
  void* const fresh = make_code("", MAP_PRIVATE, PROT_READ | PROT_EXEC);
  if (mremap(fresh, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, code) != code) fail("mremap");
  (void)is_changed(code);
  puts("other code there: ok");
  munmap(code, 4096);
  printf("gone: %d, %lu attached\n", once(), attaches());
}

/// Protection keys: what a thread may not touch stays so, and is nothing to do with its calls.
static void test_keys(void) {
  const int key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
  char* const locked = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (key < 0 || pkey_mprotect(locked, 4096, PROT_READ | PROT_WRITE, key) != 0) {
    puts("no protection keys\nend");
    return;
  }
  often("beside a key");
  printf("access to the key: %d\n", pkey_get(key));
  char* const memory = shmat(id, NULL, 0);
  pkey_mprotect(memory, 4096, PROT_READ | PROT_WRITE, key);
  printf("a segment with a key: detached %d, then %d\n", shmdt(memory), once());
  pkey_set(key, 0);
  // For oracle/compare.sh.
  printf("%c, %lu attached\nend\n", *locked == 0 ? 'z' : 'x', attaches());
}

static void* wait_for_end(void* pipe) {
  char byte;
  while (read(*(int*)pipe, &byte, 1) < 0) {
  }
  return NULL;
}

/// Sites that must stay as they are.
static void test_left(void) {
  const int all = PROT_READ | PROT_WRITE | PROT_EXEC;
  printf("writable: %d\n", is_changed(make_code("", MAP_PRIVATE, all)));
  printf("shared: %d\n", is_changed(make_code("", MAP_SHARED, PROT_READ | PROT_EXEC)));
  printf("shared and writable: %d\n", is_changed(make_code("", MAP_SHARED, all)));
  // push $30; pop %rax; mov $30, %r8d.
  printf("another register: %d\n",
         is_changed(make_code("\x6a\x1e\x58\x41", MAP_PRIVATE, PROT_READ | PROT_EXEC)));
  int ends[2];
  pthread_t thread;
  if (pipe(ends) != 0) fail("pipe");
  pthread_create(&thread, NULL, wait_for_end, &ends[0]);
  printf("beside a thread: %d\n", is_changed(make_code("", MAP_PRIVATE, PROT_READ | PROT_EXEC)));
  close(ends[1]);
  pthread_join(thread, NULL);
}

// --- Registers: all of them, with patterns, at a site of our own.

struct registers {
  uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, flags;
};
struct registers before, after;
uint64_t kept_stack;

#define SITE(name, number)                                                                       \
  __asm__(".text\n" #name                                                                        \
          ": push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"                 \
          "mov %rsp, kept_stack(%rip)\n"                                                         \
          "push before+128(%rip); popf\n"                                                        \
          "mov before+8(%rip), %rbx; mov before+24(%rip), %rdx; mov before+32(%rip), %rsi\n"     \
          "mov before+40(%rip), %rdi; mov before+48(%rip), %rbp; mov before+64(%rip), %r8\n"     \
          "mov before+72(%rip), %r9; mov before+80(%rip), %r10; mov before+96(%rip), %r12\n"     \
          "mov before+104(%rip), %r13; mov before+112(%rip), %r14; mov before+120(%rip), %r15\n" \
          "mov before+56(%rip), %rsp\n"                                                          \
          "nop; mov $" number                                                                    \
          ", %eax; syscall\n"                                                                    \
          "mov %rax, after(%rip); mov %rbx, after+8(%rip); mov %rdx, after+24(%rip)\n"           \
          "mov %rsi, after+32(%rip); mov %rdi, after+40(%rip); mov %rbp, after+48(%rip)\n"       \
          "mov %rsp, after+56(%rip); mov %r8, after+64(%rip); mov %r9, after+72(%rip)\n"         \
          "mov %r10, after+80(%rip); mov %r12, after+96(%rip); mov %r13, after+104(%rip)\n"      \
          "mov %r14, after+112(%rip); mov %r15, after+120(%rip); mov kept_stack(%rip), %rsp\n"   \
          "pushf; pop after+128(%rip); cld; push $0x202; popf\n"                                 \
          "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n")
SITE(attach_site, "30");
SITE(detach_site, "67");
void attach_site(void);
void detach_site(void);

static void call_at(void (*site)(void), uint64_t rdi, uint64_t rsi, uint64_t rdx, uint64_t flags) {
  before = (struct registers){.rbx = 0x1b,
                              .rdx = rdx,
                              .rsi = rsi,
                              .rdi = rdi,
                              .rbp = 0x5b,
                              .rsp = 8,
                              .r8 = 0x8080,
                              .r9 = 0x9090,
                              .r10 = 0x1010,
                              .r12 = 0x1212,
                              .r13 = 0x1313,
                              .r14 = 0x1414,
                              .r15 = ~0UL,
                              .flags = flags};
  site();
}

static void compare(const char* what) {
  before.rax = after.rax;
  before.rcx = after.rcx;
  before.r11 = after.r11;
  if (memcmp(&before, &after, sizeof(before)) == 0) return;
  printf("%s: registers differ:", what);
  const uint64_t *const a = &before.rax, *const b = &after.rax;
  for (int at = 0; at < 17; ++at) {
    if (a[at] != b[at]) printf(" %d: %lx, %lx", at, a[at], b[at]);
  }
  puts("");
}

static void test_registers(void) {
  // CF PF AF ZF SF, DF, OF, in turns; and always 2 and IF.
  const uint64_t flags[] = {0x202, 0xa57, 0x202 | 0x8d5, 0x202 | 0x400, 0x202 | 0x801};
  long failures = 0;
  for (int round = 0; round < ENOUGH; ++round) {
    const uint64_t with = flags[round % 5];
    call_at(attach_site, (uint64_t)id, 0, 0, with);
    compare("shmat");
    const uint64_t address = after.rax;
    if ((int64_t)address <= 0 || *(char*)address != 'm') ++failures;
    call_at(attach_site, (uint64_t)id, 1, 0, with);
    compare("shmat of an odd address");
    failures += after.rax != (uint64_t)-EINVAL;
    call_at(detach_site, address, 0x77, 0x66, with);
    compare("shmdt");
    failures += after.rax != 0;
    call_at(detach_site, address, 0x77, 0x66, with);
    compare("shmdt in vain");
    failures += after.rax != (uint64_t)-EINVAL;
  }
  printf("%ld failures, %lu attached, %d blocked\n", failures, attaches(), signals_blocked());
}

// --- Several sites.

#define FOUR(name, n) CALLS(name##0, n) CALLS(name##1, n) CALLS(name##2, n) CALLS(name##3, n)
#define CALLS(name, n)                                                 \
  __attribute__((noinline)) static long name(long a, long b, long c) { \
    long result;                                                       \
    __asm__ volatile("nop; mov $" n ", %%eax; syscall"                 \
                     : "=a"(result)                                    \
                     : "D"(a), "S"(b), "d"(c)                          \
                     : "rcx", "r11", "memory");                        \
    return result;                                                     \
  }
FOUR(at, "30")
FOUR(dt, "67")

static void test_sites(void) {
  static long (*const at[])(long, long, long) = {at0, at1, at2, at3};
  static long (*const dt[])(long, long, long) = {dt0, dt1, dt2, dt3};
  long failures = 0;
  for (int round = 0; round < 8 * ENOUGH; ++round) {
    const int which = round / ENOUGH % 4;
    const long address = at[which](id, 0, 0);
    failures += address <= 0 || *(char*)address != 'm' || dt[which](address, 0, 0) != 0;
    failures += !once();
  }
  printf("%ld failures, %lu attached\n", failures, attaches());
}

// --- Every kind of attach, in the order of its checks.

static const char* result_of(const void* address) {
  return address == (void*)-1 ? strerrorname_np(errno) : "ok";
}

static void test_kinds(void) {
  often("often");
  char* const there = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(there, 1 << 20);
  const struct {
    const char* name;
    int id;
    const void* address;
    int flags;
  } kinds[] = {
      {"plain", id, NULL, 0},
      {"read-only", id, NULL, SHM_RDONLY},
      {"executable", id, NULL, SHM_EXEC},
      {"at an address", id, there, 0},
      {"rounded", id, there + 12, SHM_RND},
      {"odd", id, there + 12, 0},
      {"taken", id, &id - (uintptr_t)&id % 4096 / sizeof(id), 0},
      {"remap nowhere", id, NULL, SHM_REMAP},
      {"no segment", -1, NULL, 0},
      {"no such segment", 123456789, NULL, 0},
      {"beyond", id, (void*)0x7ffffffff000, 0},
  };
  for (size_t at = 0; at < sizeof(kinds) / sizeof(*kinds); ++at) {
    char* const memory = shmat(kinds[at].id, kinds[at].address, kinds[at].flags);
    printf("%s: %s", kinds[at].name, result_of(memory));
    if (memory != (void*)-1) {
      printf(" %c, writable %d", *memory, mprotect(memory, 4096, PROT_READ | PROT_WRITE) == 0);
      printf(", nattch %lu", attaches());
      printf(", detached %d", shmdt(memory));
    }
    printf(", %d descriptors\n", count_descriptors());
  }
  char* const first = shmat(id, NULL, 0);
  char* const second = shmat(other, first, SHM_REMAP);
  printf("remap: %d %c, %lu left\n", second == first, *second, attaches());
  const int gone = shmdt(second);
  printf("detached: %d, then %s\n", gone, shmdt(second) == 0 ? "ok" : strerrorname_np(errno));
  // What a limit refuses, and a full table.
  struct rlimit kept, little = {1, 1};
  getrlimit(RLIMIT_AS, &kept);
  little.rlim_max = kept.rlim_max;
  setrlimit(RLIMIT_AS, &little);
  const char* const refused = result_of(shmat(id, NULL, 0));
  setrlimit(RLIMIT_AS, &kept);
  printf("no room: %s\n", refused);
  getrlimit(RLIMIT_NOFILE, &kept);
  little = (struct rlimit){64, kept.rlim_max};
  setrlimit(RLIMIT_NOFILE, &little);
  while (dup(1) >= 0) {
  }
  printf("full table: %d, %d descriptors\n", once(), count_descriptors());
}

/// For a tracer that comes meanwhile: until a file is there.
static void test_until(const char* file) {
  long failures = 0;
  often("often");
  for (int round = 0; access(file, F_OK) != 0; ++round) {
    if (!once()) ++failures;
    usleep(500);
  }
  for (int round = 0; round < ENOUGH; ++round) failures += !once();
  printf("%ld failures\n", failures);
}

/// What the program unmaps that it did not map.
static void test_unmapped(void) {
  often("often");
  FILE* const maps = fopen("/proc/self/maps", "r");
  char line[512];
  unsigned long start = 0, end = 0;
  while (fgets(line, sizeof(line), maps) != NULL) {
    if (strstr(line, "/memfd:shmvisor") != NULL) {
      sscanf(line, "%lx-%lx", &start, &end);
      break;
    }
  }
  fclose(maps);
  printf("unmapped: %d\n", start == 0 || munmap((void*)start, end - start) == 0);
  fflush(stdout);
  printf("then %d\n", once());
}

int main(int count, char** words) {
  const char* const what = count > 1 ? words[1] : "";
  make_segments();
  if (strcmp(what, "changed") == 0) test_changed();
  if (strcmp(what, "code") == 0) test_code();
  if (strcmp(what, "keys") == 0) test_keys();
  if (strcmp(what, "left") == 0) test_left();
  if (strcmp(what, "registers") == 0) test_registers();
  if (strcmp(what, "sites") == 0) test_sites();
  if (strcmp(what, "kinds") == 0) test_kinds();
  if (strcmp(what, "until") == 0) test_until(words[2]);
  if (strcmp(what, "unmapped") == 0) test_unmapped();
  remove_segments();
  return 0;
}
