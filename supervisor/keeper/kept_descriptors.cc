#include "supervisor/keeper/kept_descriptors.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

namespace shmvisor {
namespace {

/// As getdents64(2) writes it.
struct Entry {
  std::uint64_t inode;
  std::int64_t next;
  std::uint16_t bytes;
  std::uint8_t type;
  char name[1];
};

}  // namespace

bool for_each_descriptor_but(int own_folder, const KeptDescriptors& kept,
                             void (*take)(int fd, void* context), void* context) {
  if (::lseek(own_folder, 0, SEEK_SET) != 0) return false;
  alignas(Entry) std::array<char, 4096> buffer;
  for (;;) {
    const long got = ::syscall(SYS_getdents64, own_folder, buffer.data(), buffer.size());
    if (got <= 0) return got == 0;
    for (long at = 0; at < got;) {
      std::uint16_t bytes = 0;
      std::memcpy(&bytes, buffer.data() + at + offsetof(Entry, bytes), sizeof(bytes));
      const char* const name = buffer.data() + at + offsetof(Entry, name);
      at += bytes;
      int fd = -1;
      const auto end = std::from_chars(name, name + std::strlen(name), fd);
      if (end.ec != std::errc() || fd == own_folder) continue;
      if (!kept.kept(fd)) take(fd, context);
    }
  }
}

}  // namespace shmvisor
