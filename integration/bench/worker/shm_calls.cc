#include "integration/bench/worker/shm_calls.h"

#include <sys/ipc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "integration/bench/worker/worker.h"

namespace shmvisor {

int ShmCalls::get(key_t key, std::size_t size_bytes) const {
  const int id = ::shmget(key, size_bytes, IPC_CREAT | 0600);
  if (id < 0) give_up("shmget");
  return id;
}

void* ShmCalls::attach(int id, std::size_t size_bytes) const {
  void* address = ::shmat(id, nullptr, 0);
  if (reinterpret_cast<std::intptr_t>(address) == -1) give_up("shmat");
  if (!cooperate_) return address;
  const int fd = static_cast<int>(reinterpret_cast<std::intptr_t>(address));
  address = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) give_up("mmap");
  ::close(fd);
  return address;
}

void ShmCalls::detach(void* address, std::size_t size_bytes) const {
  if (::shmdt(address) != 0) give_up("shmdt");
  if (cooperate_) ::munmap(address, size_bytes);
}

void ShmCalls::remove(int id) const {
  if (::shmctl(id, IPC_RMID, nullptr) != 0) give_up("IPC_RMID");
}

std::size_t ShmCalls::stat(int id) const {
  shmid_ds ds{};
  if (::shmctl(id, IPC_STAT, &ds) != 0) give_up("IPC_STAT");
  return ds.shm_nattch;
}

}  // namespace shmvisor
