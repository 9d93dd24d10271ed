// attach_often FILE: attaches and detaches until FILE exists; prints how often that failed, and why
// the last time.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

int main(int argc, char** argv) {
  const int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
  int failures = 0;
  int last = 0;
  while (argc > 1 && access(argv[1], F_OK) != 0) {
    void* const at = shmat(id, NULL, 0);
    if (at == (void*)-1 || shmdt(at) != 0) {
      ++failures;
      last = errno;
    }
    usleep(1000);
  }
  shmctl(id, IPC_RMID, NULL);
  printf("%d failures%s%s\n", failures, failures != 0 ? ": " : "",
         failures != 0 ? strerrorname_np(last) : "");
  return failures != 0;
}
