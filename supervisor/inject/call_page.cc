#include "supervisor/inject/call_page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "policy/filter_program.h"
#include "supervisor/kernel/descriptor_path.h"
#include "supervisor/kernel/uapi.h"
#include "supervisor/process/task_status.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kEnteringInstructionBytes = 2;
/// Below position-independent programs (ELF_ET_DYN_BASE, two thirds of the address space), above
/// all others.
constexpr std::uint64_t kLowestAddress = 0x2000'0000'0000U;
constexpr std::uint64_t kAddresses = 0x3000'0000'0000U / kPageBytes;

constexpr std::size_t kMapOffset = 0;
constexpr std::size_t kUnmapOffset = 32;
constexpr std::size_t kEndOffset = 42;
constexpr std::size_t kTrappedOffset = kEndOffset + 12;
constexpr std::size_t kSignatureOffset = 64;

constexpr auto kMapCode = std::to_array<std::uint8_t>({
    0x0f, 0x05,  // syscall           mmap
    0x4c, 0x89,
    0xc7,  // mov %r8,%rdi      its descriptor
    0x49, 0x89,
    0xc0,  // mov %rax,%r8      its result
    0xb8, 0x03,
    0x00, 0x00,
    0x00,        // mov $3,%eax
    0x0f, 0x05,  // syscall           close
    0xb8, 0x1e,
    0x00, 0x00,
    0x00,                   // mov $30,%eax      shmat
    0xeb, kEndOffset - 22,  // jmp end
});
static_assert(kMapCode.size() == 22 && kMapCode.size() <= kUnmapOffset);
/// From here on the result is in r8.
constexpr std::size_t kKeptOffset = 8;
constexpr std::size_t kClosedOffset = 15;

constexpr auto kUnmapCode = std::to_array<std::uint8_t>({
    0x0f, 0x05,                    // syscall           munmap
    0x49, 0x89, 0xc0,              // mov %rax,%r8      its result
    0xb8, 0x43, 0x00, 0x00, 0x00,  // mov $67,%eax      shmdt
});
static_assert(kUnmapOffset + kUnmapCode.size() == kEndOffset, "it runs on into the end");

/// The call that ends it is the one that the caller made, so that no filter of its own objects.
constexpr auto kEndCode = std::to_array<std::uint8_t>({
    0x48, 0xbf, 0, 0, 0, 0, 0, 0, 0, 0,  // movabs $kTracedArgument,%rdi
    0x0f, 0x05,                          // syscall
    0x0f, 0x0b,                          // ud2, where some filter objects all the same, and where
                                         // we are dead, and nobody restores the registers
});
static_assert(kEndOffset + kEndCode.size() <= kSignatureOffset);

using Page = std::array<std::uint8_t, kPageBytes>;

Page page_with(std::uint64_t signature) {
  Page page;
  page.fill(0xcc);  // int3
  std::copy(kMapCode.begin(), kMapCode.end(), page.begin() + kMapOffset);
  std::copy(kUnmapCode.begin(), kUnmapCode.end(), page.begin() + kUnmapOffset);
  std::copy(kEndCode.begin(), kEndCode.end(), page.begin() + kEndOffset);
  std::memcpy(page.data() + kEndOffset + 2, &kTracedArgument, sizeof(kTracedArgument));
  std::memcpy(page.data() + kSignatureOffset, &signature, sizeof(signature));
  return page;
}

UniqueFd create_file() {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  UniqueFd fd(::memfd_create("shmvisor", kFlags | MFD_EXEC));
  if (fd.valid() || errno != EINVAL) return fd;
  return UniqueFd(::memfd_create("shmvisor", kFlags));  // before Linux 6.3
}

/// Whether it can be mapped as callers will map it.
bool executable(int fd) {
  void* const address = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) return false;
  ::munmap(address, kPageBytes);
  return true;
}

bool draw(std::uint64_t& number) {
  return ::getrandom(&number, sizeof(number), 0) == ssize_t{sizeof(number)};
}

}  // namespace

std::unique_ptr<CallPage> CallPage::create(KernelFeatures& features) {
  if (!features.usable(KernelFeature::kCallPage)) return nullptr;
  std::uint64_t place = 0;
  std::uint64_t signature = 0;
  const UniqueFd file = create_file();
  const auto status = TaskStatus::read(gettid());
  if (file.valid() && status && draw(place) && draw(signature)) {
    const Page page = page_with(signature);
    const bool written = ::pwrite(file.get(), page.data(), page.size(), 0) == ssize_t{kPageBytes};
    const bool sealed = ::fcntl(file.get(), F_ADD_SEALS,
                                F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
    UniqueFd readable(::open(descriptor_path(file).c_str(), O_RDONLY | O_CLOEXEC));
    if (written && sealed && readable.valid() && executable(readable.get())) {
      const std::uint64_t address = kLowestAddress + place % kAddresses * kPageBytes;
      return std::unique_ptr<CallPage>(
          new CallPage(std::move(readable), address, signature, status->seccomp_filters + 1));
    }
  }
  features.absent(KernelFeature::kCallPage);
  return nullptr;
}

std::array<std::uint64_t, 6> CallPage::mapping(int fd) const {
  return {address_,
          kPageBytes,
          PROT_READ | PROT_EXEC,
          MAP_SHARED | MAP_FIXED_NOREPLACE,
          static_cast<std::uint64_t>(fd),
          0};
}

bool CallPage::is_in(PtraceStop& stop) const {
  return stop.peek(address_ + kSignatureOffset) == signature_;
}

bool CallPage::overlaps(const AddressRange& range) const {
  return range.overlaps({address_, kPageBytes});
}

Registers CallPage::mapping_and_closing(const Registers& registers,
                                        const std::array<std::uint64_t, 6>& arguments) const {
  return registers.entering_at(address_ + kMapOffset, RemoteCall::kMmap, arguments);
}

Registers CallPage::unmapping(const Registers& registers, const AddressRange& range) const {
  return registers.entering_at(address_ + kUnmapOffset, RemoteCall::kMunmap,
                               {range.start, range.length});
}

Result<CallPage::Progress> CallPage::progress(const Registers& begin, const Registers& now) const {
  const std::uint64_t entry = begin.instruction_pointer();
  const std::uint64_t offset = now.instruction_pointer() - entry;
  if (offset == 0) return Errno(EAGAIN);
  if (offset < kEnteringInstructionBytes || offset > address_ + kTrappedOffset - entry) {
    return Errno(EACCES);
  }
  // Refused, by a filter that traps or by system call user dispatch: then the number is still
  // there.
  const bool refused = now.raw().rax == begin.raw().rax;
  if (offset == kEnteringInstructionBytes && refused) return Errno(EAGAIN);
  Progress progress;
  progress.result = static_cast<std::int64_t>(offset < kKeptOffset ? now.raw().rax : now.raw().r8);
  progress.closed = offset > kClosedOffset || (offset == kClosedOffset && now.raw().rax == 0);
  return progress;
}

}  // namespace shmvisor
