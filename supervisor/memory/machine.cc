#include "supervisor/memory/machine.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <new>
#include <utility>

#include "emulation/abi/abi.h"
#include "supervisor/kernel/uapi.h"
#include "supervisor/memory/memfd_memory.h"
#include "supervisor/memory/memory_room.h"

namespace shmvisor {
namespace {

/// MAX_LFS_FILESIZE: shmem_kernel_file_setup() refuses more with EINVAL. hugetlb_file_setup() does
/// not look. Where it is to reserve pages it finds no such many.
constexpr std::uint64_t kLargestFileBytes = MemfdMemory::kLargestFileBytes;

Denial denial_of(const DescriptorShare::Refusal& refusal) {
  using Of = DescriptorShare::Refusal::Of;
  Denial denial{Denial::Reason::kDescriptors, static_cast<std::uint64_t>(refusal.may_have), 1,
                static_cast<std::uint64_t>(refusal.has)};
  if (refusal.of == Of::kGroup) denial.reason = Denial::Reason::kDescriptorsOfGroup;
  if (refusal.of == Of::kUser) denial.reason = Denial::Reason::kDescriptorsOfUser;
  return denial;
}

std::uint64_t whole_pages_of(const BackingRequest& request) {
  const std::uint64_t unit = request.huge ? request.huge_page_bytes : kPageBytes;
  // Close to 2^64 this wraps to 0, as the kernel's ALIGN() does: an empty file of huge pages.
  return (request.size_bytes + unit - 1) / unit * unit;
}

}  // namespace

MachineResources::MachineResources(KernelFeatures& known_features)
    : features(known_features),
      release_events(known_features),
      hugetlb_group_file(::open("/proc/sys/vm/hugetlb_shm_group", O_RDONLY | O_CLOEXEC)) {}

Result<std::uint64_t> Machine::huge_page_bytes(unsigned size_log2) {
  // The kernel answers by making one: a size it does not have is ENODEV.
  const UniqueFd fd(::memfd_create("shmvisor-huge-page-size",
                                   MFD_CLOEXEC | MFD_HUGETLB | (size_log2 << MFD_HUGE_SHIFT)));
  if (!fd.valid()) {
    return errno == EMFILE || errno == ENFILE ? Errno(ENOSPC) : Errno(EINVAL);
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return Errno(EINVAL);
  return static_cast<std::uint64_t>(status.st_blksize);
}

gid_t Machine::hugetlb_shm_group() {
  std::array<char, 32> text{};
  const int file = hugetlb_group_file_.get();
  if (file < 0 || ::pread(file, text.data(), text.size() - 1, 0) <= 0) return 0;
  return static_cast<gid_t>(std::strtoul(text.data(), nullptr, 10));
}

Result<std::unique_ptr<BackingMemory>> Machine::create_memory(const BackingRequest& request,
                                                              Denial& denial) {
  const std::uint64_t size_bytes = whole_pages_of(request);
  if (request.huge && request.reserve && size_bytes > kLargestFileBytes) return Errno(ENOMEM);
  if (!request.huge && request.size_bytes > kLargestFileBytes) return Errno(EINVAL);
  MemoryCharges charges;
  if (descriptor_share_ != nullptr) {
    DescriptorShare::Refusal refusal;
    auto part = descriptor_share_->take(request.account, 1, &refusal);
    if (!part) {
      denial = denial_of(refusal);
      return Errno(ENOSPC);
    }
    charges.descriptor = std::move(*part);
  }
  if (!request.huge) {
    auto charged = overcommit_.charge(size_bytes, request.reserve);
    if (!charged) {
      denial = {Denial::Reason::kOvercommit, overcommit_.most_bytes(), size_bytes, 0};
      return charged.error();
    }
    charges.commit = std::move(*charged);
  }
  auto memory = MemfdMemory::create(request, size_bytes, std::move(charges), lock_keeper_,
                                    features_, &SpareFiles::all());
  if (!memory) {
    if (request.commit && !request.huge && memory.error() == Errno(ENOMEM)) {
      denial = {Denial::Reason::kRoom, memory_room_bytes(), size_bytes, 0};
    }
    return memory.error();
  }
  return std::unique_ptr<BackingMemory>(std::move(*memory));
}

Result<std::unique_ptr<BackingMemory>> Machine::adopt_memory(int fd, const FileIdentity& identity,
                                                             const BackingRequest& request) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || FileIdentity{status.st_dev, status.st_ino} != identity) {
    return Errno(ENOENT);
  }
  const std::uint64_t size_bytes = whole_pages_of(request);
  MemoryCharges charges;
  if (descriptor_share_ != nullptr) {
    if (auto part = descriptor_share_->take(request.account)) charges.descriptor = std::move(*part);
  }
  // Whether it is too large was asked when it was made; so only mode 2 charges anything. The mode
  // is looked at once, since all that there is is adopted at one time.
  static const bool is_heuristic = overcommit_.most_bytes() != 0;
  if (!request.huge && !is_heuristic) {
    if (auto charged = overcommit_.charge(size_bytes, false)) {
      charges.commit = std::move(*charged);
    }
  }
  return std::unique_ptr<BackingMemory>(MemfdMemory::adopt(
      UniqueFd(fd), identity, request, size_bytes, std::move(charges), lock_keeper_, features_));
}

void Machine::note_attach(const PidRecord& process, const BackingMemory& memory) noexcept {
  try {
    attach_counter_.note_attach(process.pid, memory.identity());
  } catch (const std::bad_alloc&) {  // a count that cannot look at the process misses this one
  }
}

void Machine::watch_release(const BackingMemory& memory) {
  release_watch_.add(memory.identity(), static_cast<const MemfdMemory&>(memory).path());
}

void Machine::free_aside(uid_t account, std::function<void()> free) {
  run_aside(account, std::move(free));
}

void Machine::unwatch_release(const BackingMemory& memory) {
  release_watch_.remove(memory.identity());
}

std::int64_t Machine::now_seconds() { return std::time(nullptr); }

}  // namespace shmvisor
