#include "supervisor/inject/call_page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>
#include <vector>

#include "emulation/abi/abi.h"
#include "policy/base/held_locks.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/inject/bit_claim.h"
#include "supervisor/keeper/kept_store.h"
#include "supervisor/kernel/descriptor_path.h"
#include "supervisor/kernel/uapi.h"
#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

/// Behind the code.
std::size_t signature_offset() { return kPageBytes - sizeof(std::uint64_t); }
/// So many slots are looked at until one is free.
constexpr std::size_t kMostLooks = page_code::kSlotsOfSupervisor;

using Page = std::vector<std::uint8_t>;

Page page_with(std::uint64_t signature) {
  Page page(kPageBytes, page_code::filler());
  const auto code = page_code::bytes();
  assert(code.size() <= signature_offset());
  std::copy(code.begin(), code.end(), page.begin());
  std::memcpy(page.data() + signature_offset(), &signature, sizeof(signature));
  return page;
}

/// All of them free.
Page slots_at(std::uint64_t address) {
  Page page(kPageBytes);
  constexpr std::uint64_t kFree = 1;
  for (std::size_t slot = 0; slot < page_code::kSlotsOfSupervisor + page_code::kSlotsOfSites;
       ++slot) {
    const std::size_t offset = slot * page_code::kSlotBytes;
    const std::uint64_t its_address = address + offset;
    std::memcpy(page.data() + offset, &its_address, sizeof(its_address));
    std::memcpy(page.data() + offset + page_code::free_in_slot(), &kFree, sizeof(kFree));
  }
  return page;
}

bool write_page(int fd, const Page& page, off_t offset) {
  return ::pwrite(fd, page.data(), page.size(), offset) == static_cast<ssize_t>(page.size());
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

template <typename Numbers>
bool draw(Numbers& numbers) {
  return ::getrandom(&numbers, sizeof(numbers), 0) == ssize_t{sizeof(numbers)};
}

}  // namespace

std::unique_ptr<CallPage> CallPage::create(KernelFeatures& features) {
  if (page_code::bytes().empty() || !features.usable(KernelFeature::kCallPage)) return nullptr;
  if (kept_ != nullptr && kept_->file.load() >= 0) {
    if (!knows(*kept_)) return nullptr;
    return std::unique_ptr<CallPage>(new CallPage(UniqueFd(kept_->file.load()), kept_->address,
                                                  kept_->signature, kept_->drawn_for_stubs,
                                                  kept_->filters_of_callers));
  }
  std::uint64_t place = 0;
  std::uint64_t signature = 0;
  std::array<std::uint64_t, 3> for_stubs{};
  const UniqueFd file = create_file();
  const auto status = TaskStatus::read(gettid());
  if (file.valid() && status && draw(place) && draw(signature) && draw(for_stubs)) {
    const AddressRange places = page_code::places();
    const std::uint64_t address = places.start + place % (places.length / kPageBytes) * kPageBytes;
    const bool written = write_page(file.get(), page_with(signature), 0) &&
                         write_page(file.get(), slots_at(address + kPageBytes), kPageBytes);
    const bool sealed = ::fcntl(file.get(), F_ADD_SEALS,
                                F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
    UniqueFd readable(::open(descriptor_path(file).c_str(), O_RDONLY | O_CLOEXEC));
    if (written && sealed && readable.valid() && executable(readable.get())) {
      if (kept_ != nullptr) {
        kept_->address = address;
        kept_->signature = signature;
        kept_->drawn_for_stubs = for_stubs;
        kept_->filters_of_callers = status->seccomp_filters + 1;
        kept_->file.store(readable.get());
        KeptStore::ours().note_descriptor("call page", readable.get());
      }
      return std::unique_ptr<CallPage>(new CallPage(std::move(readable), address, signature,
                                                    for_stubs, status->seccomp_filters + 1));
    }
  }
  features.mark_absent(KernelFeature::kCallPage);
  return nullptr;
}

bool CallPage::knows(const KeptCallPage& kept) {
  if (kept.file.load() < 0) return true;
  Page there(2 * kPageBytes);
  Page ours = page_with(kept.signature);
  const Page slots = slots_at(kept.address + kPageBytes);
  ours.insert(ours.end(), slots.begin(), slots.end());
  return ::pread(kept.file.load(), there.data(), there.size(), 0) ==
             static_cast<ssize_t>(there.size()) &&
         there == ours;
}

std::array<std::uint64_t, 6> CallPage::mapping(int fd) const {
  return {address_,
          kPageBytes,
          PROT_READ | PROT_EXEC,
          MAP_SHARED | MAP_FIXED_NOREPLACE,
          static_cast<std::uint64_t>(fd),
          0};
}

std::array<std::uint64_t, 6> CallPage::mapping_of_slots(int fd) const {
  return {slot_address(0),
          kPageBytes,
          PROT_READ | PROT_WRITE,
          MAP_PRIVATE | MAP_FIXED_NOREPLACE,
          static_cast<std::uint64_t>(fd),
          kPageBytes};
}

std::uint64_t CallPage::slot_address(std::size_t slot) const {
  return address_ + kPageBytes + slot * page_code::kSlotBytes;
}

bool CallPage::is_in(StoppedThread& thread) const {
  return thread.peek(address_ + signature_offset()) == signature_;
}

bool CallPage::overlaps(const AddressRange& range) const {
  return range.overlaps({address_, 2 * kPageBytes});
}

std::optional<Registers> CallPage::begin(StoppedThread& thread, const Work& work,
                                         bool tells) const {
  HeldLocks::assert_may_wait();
  if (thread.registers().steps()) return std::nullopt;
  for (std::size_t slot = 0; slot < kMostLooks; ++slot) {
    const BitClaim claim(claimed_slots_, static_cast<unsigned>(slot));
    const std::uint64_t address = slot_address(slot);
    if (!claim.held() || thread.peek(address) != address) continue;
    page_code::Slot kept =
        page_code::slot_for(thread.registers(), thread.signal_mask(), work, tells);
    const iovec ours{kept.data(), kept.size()};
    const iovec theirs{reinterpret_cast<void*>(address), kept.size()};
    if (::process_vm_writev(thread.tid(), &ours, 1, &theirs, 1, 0) !=
        static_cast<ssize_t>(kept.size())) {
      break;
    }
    return page_code::begin(thread.registers(), address_, address, work);
  }
  return std::nullopt;
}

Result<CallPage::Progress> CallPage::progress(const StoppedThread& thread, const Registers& begin,
                                              const Registers& now) const {
  const std::uint64_t entry = begin.instruction_pointer();
  const std::uint64_t at = now.instruction_pointer();
  if (at == entry) return Errno(EAGAIN);
  const bool unmaps = entry == address_ + page_code::entry(Task::kUnmap);
  const bool first_call = at == address_ + (unmaps ? page_code::unmapped() : page_code::mapped());
  // Refused, by a filter that traps or by system call user dispatch.
  if (first_call && page_code::first_call_refused(begin, now)) return Errno(EAGAIN);
  if (at < entry || at > address_ + page_code::forbidden()) return Errno(EACCES);
  Progress progress;
  const std::int64_t last = now.result(page_code::abi());
  if (first_call) {
    progress.result = last;
    return progress;
  }
  const std::uint64_t slot = page_code::slot_of(begin);
  const auto result = thread.peek(slot + page_code::result_in_slot());
  const auto descriptor = thread.peek(slot + page_code::descriptor_in_slot());
  if (!result || !descriptor) return Errno(EACCES);
  progress.result = static_cast<std::int64_t>(*result);
  progress.lost = *descriptor == page_code::kLost;
  progress.closed =
      at > address_ + page_code::closed() || (at == address_ + page_code::closed() && last == 0);
  progress.at_end = at == address_ + page_code::told() || at == address_ + page_code::forbidden();
  return progress;
}

void CallPage::return_by_code(StoppedThread& thread, const Registers& begin) const {
  const std::uint64_t slot = page_code::slot_of(begin);
  thread.go_on_from(page_code::finish(thread.registers(), address_, slot),
                    slot + page_code::result_in_slot());
}

void CallPage::free_slot(StoppedThread& thread, const Registers& begin) {
  const std::uint64_t slot = page_code::slot_of(begin);
  thread.write_then(slot, slot);
}

CallPage::Message CallPage::message(const seccomp_data& call) const {
  if (call.instruction_pointer == address_ + page_code::asked()) return Message::kSite;
  if (call.instruction_pointer == address_ + page_code::fetched()) return Message::kFetch;
  if (call.instruction_pointer == address_ + page_code::failed()) return Message::kFailed;
  if (call.instruction_pointer == address_ + page_code::mask_refused()) {
    return Message::kMaskRefused;
  }
  return Message::kNone;
}

std::optional<std::uint64_t> CallPage::slot_of_site(const seccomp_data& call) const {
  if (message(call) != Message::kSite) return std::nullopt;
  const std::uint64_t slot = page_code::slot_said_by(call);
  const std::uint64_t first = slot_address(page_code::kSlotsOfSupervisor);
  const std::uint64_t end = first + page_code::kSlotsOfSites * page_code::kSlotBytes;
  if (slot < first || slot >= end || (slot - first) % page_code::kSlotBytes != 0) {
    return std::nullopt;
  }
  return slot;
}

Result<void> CallPage::tell_in_slot(pid_t tid, std::uint64_t slot, const Work& work) {
  HeldLocks::assert_may_wait();
  page_code::Order order = page_code::order_for(work);
  const iovec ours{order.words.data(), sizeof(order.words)};
  const iovec theirs{reinterpret_cast<void*>(slot + order.offset), sizeof(order.words)};
  return with_identity_of(tid, kToTrace, [&]() -> Result<void> {
    const ssize_t written = ::process_vm_writev(tid, &ours, 1, &theirs, 1, 0);
    if (written == static_cast<ssize_t>(sizeof(order.words))) return {};
    return written < 0 ? Errno::current() : Errno(EFAULT);
  });
}

std::optional<std::uint64_t> CallPage::kept_signal_mask(const StoppedThread& thread) {
  return thread.peek(page_code::slot_of(thread.registers()) + page_code::signal_mask_in_slot());
}

}  // namespace shmvisor
