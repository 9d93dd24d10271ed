// What remote_space_i386_test executes: a program for i386 that attaches twice, uses what it
// attached, and detaches. Its exit status says what it found wrong: 0 where nothing.
//
// Each of its calls is answered by the test, whatever the arguments are.
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kPage = 4096, kPages = 4 };

static int is_mapped(char* at) {
  unsigned char residency;
  return mincore(at, kPage, &residency) == 0;
}

int main(void) {
  char* const memory = (char*)syscall(SYS_shmat, 1, NULL, 0);
  char* const read_only = (char*)syscall(SYS_shmat, 1, NULL, 010000);
  for (int page = 0; page < kPages; ++page) {
    // Seen through one of the two what was written through the other, at each page.
    memory[page * kPage] = (char)('a' + page);
    if (read_only[page * kPage] != 'a' + page) {
      return 11;
    }
  }
  if (mprotect(read_only, kPage, PROT_READ | PROT_WRITE) != -1 || errno != EACCES) {
    return 12;
  }
  if (syscall(SYS_shmat, 1, memory, 0) != -1 || errno != EINVAL) {
    return 13;
  }
  if (syscall(SYS_shmdt, memory) != 0 || is_mapped(memory) || !is_mapped(read_only)) {
    return 14;
  }
  return 0;
}
