// ipc_calls: System V IPC as i386 programs call it, through ipc(2) and through the separate calls:
// for each call its name and what came of it. Shared memory comes from the agent, semaphores and
// messages from the kernel, and a sub-call that does not exist is ENOSYS from either. Compiled with
// -m32.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef __i386__
#error "ipc(2) is a call of i386"
#endif

enum { kSemop = 1, kSemget = 2, kSemctl = 3, kMsgget = 13, kMsgctl = 14 };
enum { kShmat = 21, kShmdt = 22, kShmget = 23, kShmctl = 24, kIpc64 = 0x100 };
enum { kPage = 4096, kVersion1 = 0x10000, kVersion2 = 0x20000 };

static long said(const char* call, long result) {
  printf("%s = %s\n", call, result == -1 ? strerrorname_np(errno) : "ok");
  return result;
}

static long ipc(unsigned call, long first, long second, long third, void* pointer) {
  return syscall(SYS_ipc, call, first, second, third, pointer, 0L);
}

// A segment made, attached, looked at and removed by ipc(2) with `version` in its upper bits.
static void shm_by_ipc(unsigned version) {
  printf("-- shared memory by ipc, version %u\n", version >> 16);
  const long id =
      said("SHMGET", ipc(kShmget | version, IPC_PRIVATE, kPage, IPC_CREAT | 0600, NULL));
  unsigned long address = 0;
  const long attached = said("SHMAT", ipc(kShmat | version, id, 0, (long)&address, NULL));
  struct shmid_ds state;
  memset(&state, 0, sizeof state);
  said("SHMCTL", ipc(kShmctl | version, id, IPC_STAT | kIpc64, 0, &state));
  printf("%zu bytes, attached %lu times\n", state.shm_segsz, (unsigned long)state.shm_nattch);
  if (attached == 0) {
    char* const text = (char*)address;
    strcpy(text, "written");
    printf("%s\n", text);
    said("SHMDT", ipc(kShmdt | version, 0, 0, 0, text));
  }
  said("SHMCTL", ipc(kShmctl | version, id, IPC_RMID, 0, NULL));
}

static void shm_by_its_calls(void) {
  puts("-- shared memory by the separate calls");
  const long id = said("shmget", syscall(SYS_shmget, IPC_PRIVATE, kPage, IPC_CREAT | 0600));
  const long at = said("shmat", syscall(SYS_shmat, id, NULL, SHM_RDONLY));
  if (at != -1) {
    printf("%d\n", *(const char*)at);
    said("shmdt", syscall(SYS_shmdt, at));
  }
  said("shmctl", syscall(SYS_shmctl, id, IPC_RMID, NULL));
}

static void others(void) {
  puts("-- what is not shared memory");
  const long set = said("SEMGET", ipc(kSemget, IPC_PRIVATE, 1, IPC_CREAT | 0600, NULL));
  struct sembuf up = {.sem_num = 0, .sem_op = 2, .sem_flg = 0};
  said("SEMOP", ipc(kSemop, set, 1, 0, &up));
  long argument = 0;
  printf("its value: %ld\n", ipc(kSemctl, set, 0, GETVAL, &argument));
  said("SEMCTL", ipc(kSemctl, set, 0, IPC_RMID, &argument));
  const long queue = said("MSGGET", ipc(kMsgget, IPC_PRIVATE, IPC_CREAT | 0600, 0, NULL));
  said("MSGCTL", ipc(kMsgctl, queue, IPC_RMID, 0, NULL));
  for (unsigned call = 25; call <= 28; ++call) {
    said("no sub-call", ipc(call, 0, 0, 0, NULL));
  }
  said("no sub-call", ipc(0x100 | kShmget, 0, 0, 0, NULL));
}

int main(void) {
  shm_by_ipc(0);
  shm_by_ipc(kVersion1);
  shm_by_ipc(kVersion2);
  shm_by_its_calls();
  others();
  return 0;
}
