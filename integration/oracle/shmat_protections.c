// shmat(2): what can be done with an attach, and what mprotect(2) can make of it.
#include "access.h"
#include "transcript.h"

static void protections(void) {
  const int id = new_segment(PAGE);
  char* writable = attach(id);
  writable[0] = 'x';
  char* read_only = (char*)shm_at(id, NULL, SHM_RDONLY);
  say("read through SHM_RDONLY: %c", read_only[0]);
  access_of("SHM_RDONLY", read_only, true);
  TRY(mprotect(read_only, PAGE, PROT_READ | PROT_WRITE));
  TRY(mprotect(read_only, PAGE, PROT_WRITE));
  TRY(mprotect(read_only, PAGE, PROT_READ | PROT_EXEC));
  TRY(mprotect(read_only, PAGE, PROT_NONE));
  TRY(mprotect(read_only, PAGE, PROT_READ));
  access_of("SHM_RDONLY afterwards", read_only, false);
  TRY(mprotect(writable, PAGE, PROT_READ));
  TRY(mprotect(writable, PAGE, PROT_READ | PROT_WRITE));
  TRY(mprotect(writable, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
  access_of("writable again", writable, true);
  TRY(shm_dt(read_only));
  TRY(shm_dt(writable));

  char* code = (char*)shm_at(id, NULL, SHM_EXEC);
  say("SHM_EXEC");
#if defined(__aarch64__)
  static const uint32_t kReturn42[] = {0x52800540, 0xd65f03c0};
#elif defined(__arm__)
  static const uint32_t kReturn42[] = {0xe3a0002a, 0xe12fff1e};
#else
  static const unsigned char kReturn42[] = {0xb8, 42, 0, 0, 0, 0xc3};
#endif
  memcpy(code, kReturn42, sizeof kReturn42);
  __builtin___clear_cache(code, code + sizeof kReturn42);
  int (*function)(void);
  memcpy(&function, &code, sizeof function);
  say("runs: %d", function());
  TRY(shm_dt(code));
  code = (char*)shm_at(id, NULL, SHM_EXEC | SHM_RDONLY);
  memcpy(&function, &code, sizeof function);
  say("read-only, runs: %d", function());
  access_of("SHM_EXEC | SHM_RDONLY", code, true);
  TRY(shm_dt(code));
  say("nattch %lu", nattch_of(id));
}

static void not_executable(void* unused) {
  (void)unused;
  const int id = new_segment(PAGE);
  char* code = attach(id);
  code[0] = (char)0xc3;
  void (*function)(void);
  memcpy(&function, &code, sizeof function);
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  function();
  say("ran without SHM_EXEC");
}

// READ_IMPLIES_EXEC makes each readable mapping executable.
static void read_implies_exec(void* unused) {
  (void)unused;
  const int id = new_segment(PAGE);
  char* code = attach(id);
  code[0] = (char)0xc3;
  TRY(shm_dt(code));
  if (syscall(SYS_personality, 0x0400000) < 0) {
    die("personality");
  }
  code = attach(id);
  void (*function)(void);
  memcpy(&function, &code, sizeof function);
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  function();
  say("ran with READ_IMPLIES_EXEC");
}

static void last_page(void) {
  const int id = new_segment(PAGE + 1);
  char* at = free_range(16 * PAGE) + 4 * PAGE;
  if (shm_at(id, at, 0) == -1) {
    die("shmat");
  }
  access_of("first byte", at, true);
  access_of("last byte", at + PAGE, true);
  access_of("rest of the last page", at + 2 * PAGE - 1, true);
  access_of("beyond", at + 2 * PAGE, false);
  TRY(shm_dt(at));
  at = attach(id);
  say("kept without an attach: %c%c", at[0], at[PAGE]);
  TRY(shm_dt(at));
}

int main(void) {
  protections();
  in_child(not_executable, NULL);
  in_child(read_implies_exec, NULL);
  last_page();
  say("end");
  return 0;
}
