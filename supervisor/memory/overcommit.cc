#include "supervisor/memory/overcommit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <utility>

namespace shmvisor {

namespace {

/// Less than any machine has that this runs on, so that it need not be asked for.
constexpr std::uint64_t kAnyMachineBytes = std::uint64_t{1} << 20;

/// With swap; 0 where it cannot be known.
std::uint64_t all_memory_bytes() {
  struct sysinfo info {};
  if (::sysinfo(&info) != 0) return 0;
  return (std::uint64_t{info.totalram} + info.totalswap) * info.mem_unit;
}

}  // namespace

CommitCharge::CommitCharge(CommitCharge&& other) noexcept
    : address_(std::exchange(other.address_, nullptr)), size_bytes_(other.size_bytes_) {}

CommitCharge& CommitCharge::operator=(CommitCharge&& other) noexcept {
  std::swap(address_, other.address_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

CommitCharge::~CommitCharge() {
  if (address_ != nullptr) ::munmap(address_, size_bytes_);
}

Overcommit::Overcommit()
    : mode_file_(::open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC)) {}

int Overcommit::mode() const {
  char digit = '0';
  if (!mode_file_.valid() || ::pread(mode_file_.get(), &digit, 1, 0) != 1) return 0;
  return digit - '0';
}

Result<CommitCharge> Overcommit::charge(std::uint64_t size_bytes, bool reserve) const {
  const int current_mode = mode();
  if (current_mode == 2) {
    void* const address =
        ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) return Errno(ENOMEM);
    return CommitCharge(address, size_bytes);
  }
  if (current_mode == 0 && reserve && size_bytes > kAnyMachineBytes) {
    const std::uint64_t all_bytes = all_memory_bytes();
    if (all_bytes != 0 && size_bytes > all_bytes) return Errno(ENOMEM);
  }
  return CommitCharge();
}

std::uint64_t Overcommit::most_bytes() const { return mode() == 0 ? all_memory_bytes() : 0; }

}  // namespace shmvisor
