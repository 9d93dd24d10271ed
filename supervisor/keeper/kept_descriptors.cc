#include "supervisor/keeper/kept_descriptors.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

#include "policy/base/unique_fd.h"

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

bool close_descriptors_but(const KeptDescriptors& kept, bool (*also_kept)(int fd, void* context),
                           void* context) {
  const UniqueFd folder(::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return false;
  alignas(Entry) std::array<char, 4096> buffer;
  for (;;) {
    const long got = ::syscall(SYS_getdents64, folder.get(), buffer.data(), buffer.size());
    if (got <= 0) return got == 0;
    for (long at = 0; at < got;) {
      std::uint16_t bytes = 0;
      std::memcpy(&bytes, buffer.data() + at + offsetof(Entry, bytes), sizeof(bytes));
      const char* const name = buffer.data() + at + offsetof(Entry, name);
      at += bytes;
      int fd = -1;
      const auto end = std::from_chars(name, name + std::strlen(name), fd);
      if (end.ec != std::errc() || fd == folder.get()) continue;
      if (!kept.kept(fd) && !also_kept(fd, context)) ::close(fd);
    }
  }
}

}  // namespace shmvisor
