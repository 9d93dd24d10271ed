#include "supervisor/serve/caller_stack.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "emulation/abi/pages.h"
#include "policy/base/shortage.h"
#include "supervisor/attaches/memory_map.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/resources/task_limit.h"

namespace shmvisor {
namespace {

enum class Place : std::uint8_t {
  kOther,  ///< something is mapped there, or nothing is above it, or it cannot be told
  kBelow,  ///< nothing is mapped, and what is above may grow to there if it is a stack
  kTooFarBelow,
};

Result<Place> place_of(pid_t tid, std::uint64_t address, KernelFeatures& features) {
  const auto unknown = [](Errno error) -> Result<Place> {
    if (is_shortage(error)) return error;
    return Place::kOther;
  };
  auto map = MemoryMap::open(tid, features);
  if (!map) return unknown(map.error());
  const auto above = map->area_above(address, Areas::kAll);
  if (!above) return unknown(above.error());
  if (!*above || (*above)->range.start <= address) return Place::kOther;
  const auto limit = TaskLimit::read(tid, "Max stack size");
  if (!limit) return unknown(limit.error());
  // acct_stack_growth() of mm/mmap.c, with the caller's limit.
  const std::uint64_t page = page_of(address);
  return (*above)->range.end() - page > limit->soft ? Place::kTooFarBelow : Place::kBelow;
}

/// True for most mapped addresses; takes a microsecond: move_pages(2) without nodes says EFAULT of
/// a page only if nothing is mapped or nothing has been written there yet (do_pages_stat_array() of
/// mm/migrate.c).
bool is_surely_mapped(pid_t tid, std::uint64_t address) {
  const void* page = reinterpret_cast<const void*>(address);  // of the caller's, not ours
  int state = -EFAULT;
  return ::syscall(SYS_move_pages, tid, 1UL, &page, nullptr, &state, 0) == 0 && state != -EFAULT;
}

bool grows_by_a_copy() {
  // More than the gap that the kernel keeps below a stack: 256 pages, stack_guard_gap of mm/mmap.c.
  constexpr std::size_t kRoomPages = 1024;
  const std::size_t room_bytes = kRoomPages * kPageBytes;
  void* const room =
      ::mmap(nullptr, room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return true;
  ::munmap(room, room_bytes);
  std::byte* const top = static_cast<std::byte*>(room) + room_bytes - kPageBytes;
  // If another thread has mapped there meanwhile, give the careful answer.
  if (::mmap(top, kPageBytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0) != top) {
    return true;
  }
  std::byte copy{};
  const iovec local{&copy, 1};
  const iovec below{top - kPageBytes, 1};
  const bool grows = ::process_vm_readv(::getpid(), &local, 1, &below, 1, 0) == 1;
  ::munmap(grows ? top - kPageBytes : top, (grows ? 2 : 1) * kPageBytes);
  return grows;
}

}  // namespace

bool copies_grow_stacks() {
  static const bool they_do = grows_by_a_copy();
  return they_do;
}

Result<bool> is_too_far_below_stack(pid_t tid, std::uint64_t address, KernelFeatures& features) {
  if (is_surely_mapped(tid, address)) return false;
  const auto place = place_of(tid, address, features);
  if (!place) return place.error();
  return *place == Place::kTooFarBelow;
}

Result<bool> grow_stack(pid_t tid, std::uint64_t address, KernelFeatures& features) {
  // If something is mapped there, its rights refused the copy, and reading would bring in a page.
  const auto place = place_of(tid, address, features);
  if (!place) return place.error();
  if (*place != Place::kBelow) return false;
  // Reading this file grows a stack on every kernel, __access_remote_vm() of mm/memory.c.
  const auto memory = open_guarded_proc_file(tid, "mem");
  if (!memory) {
    if (is_shortage(memory.error())) return memory.error();
    return false;
  }
  std::byte first{};
  return ::pread(memory->get(), &first, 1, static_cast<off_t>(address)) == 1;
}

}  // namespace shmvisor
