#include "supervisor/journal/state_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "emulation/abi/pages.h"

namespace shmvisor {
namespace {

using journal::StateHeader;

/// That stay when an area is emptied.
constexpr std::uint64_t kKeptBytes = std::uint64_t{256} << 10;

std::string words_of(int error) { return std::string("cannot be kept: ") + std::strerror(error); }

/// The same of a file of that size, which is sparse, and of what may be in its way.
std::string words_of(int error, std::uint64_t bytes) {
  std::string words = words_of(error);
  const std::string needed = std::to_string((bytes >> 20) + 1) + " MiB";
  if (error == EFBIG) words += "; it wants RLIMIT_FSIZE (ulimit -f) of " + needed;
  if (error == ENOMEM) words += "; it wants " + needed + " of addresses: RLIMIT_AS (ulimit -v)";
  return words;
}

std::uint64_t in_pages(std::uint64_t bytes) { return pages_of(bytes) * kPageBytes; }

/// All but the magic.
void fill(StateHeader& header, std::uint64_t area_bytes) {
  header.version = journal::kVersion;
  header.byte_order = StateHeader::kByteOrder;
  header.slot_bytes = sizeof(journal::CallSlot);
  header.slots = journal::kSlots;
  header.stamp_bytes = sizeof(journal::StampPair);
  header.stamps = journal::kStamps;
  header.slots_at = in_pages(sizeof(StateHeader));
  header.stamps_at = header.slots_at + in_pages(sizeof(journal::CallSlot) * header.slots);
  header.areas_at =
      header.stamps_at + in_pages(sizeof(journal::StampPair) * std::uint64_t{header.stamps});
  header.area_bytes = area_bytes;
  header.file_bytes = header.areas_at + 2 * area_bytes;
}

bool is_as_made(const StateHeader& header) {
  StateHeader made{};
  fill(made, header.area_bytes);
  return header.slot_bytes == made.slot_bytes && header.slots == made.slots &&
         header.stamp_bytes == made.stamp_bytes && header.stamps == made.stamps &&
         header.slots_at == made.slots_at && header.stamps_at == made.stamps_at &&
         header.areas_at == made.areas_at && header.file_bytes == made.file_bytes;
}

/// Empty: none.
std::string trouble_with(const StateHeader& header, std::uint64_t bytes) {
  if (header.magic != StateHeader::kMagic) return "is no state of a shmvisor";
  if (header.byte_order != StateHeader::kByteOrder) return "has another byte order";
  if (header.version != journal::kVersion) {
    return "is of version " + std::to_string(header.version) +
           ", which this shmvisor does not know";
  }
  const bool fits = bytes == header.file_bytes && is_as_made(header);
  return fits ? "" : "has parts of other sizes than this shmvisor knows";
}

}  // namespace

Result<std::unique_ptr<StateFile>, std::string> StateFile::create(std::uint64_t area_bytes) {
  StateHeader header{};
  fill(header, in_pages(area_bytes));
  UniqueFd file(::memfd_create("shmvisor-state", MFD_CLOEXEC));
  if (!file.valid() || ::ftruncate(file.get(), static_cast<off_t>(header.file_bytes)) != 0) {
    return words_of(errno, header.file_bytes);
  }
  auto made = map(file, header.file_bytes);
  if (!made) return made;
  StateHeader& there = (*made)->header();
  fill(there, header.area_bytes);
  std::atomic_ref(there.magic).store(StateHeader::kMagic, std::memory_order_release);
  return made;
}

Result<std::unique_ptr<StateFile>, std::string> StateFile::open(UniqueFd& file) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return words_of(errno);
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  const std::uint64_t header_bytes = in_pages(sizeof(StateHeader));
  if (bytes < header_bytes) return std::string("is no state of a shmvisor");
  void* const memory = ::mmap(nullptr, header_bytes, PROT_READ, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return words_of(errno, header_bytes);
  std::string trouble = trouble_with(*static_cast<const StateHeader*>(memory), bytes);
  ::munmap(memory, header_bytes);
  if (!trouble.empty()) return trouble;
  return map(file, bytes);
}

Result<std::unique_ptr<StateFile>, std::string> StateFile::map(UniqueFd& file,
                                                               std::uint64_t bytes) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file.get(), 0);
  if (memory == MAP_FAILED) return words_of(errno, bytes);
  return std::unique_ptr<StateFile>(
      new StateFile(std::move(file), static_cast<std::byte*>(memory), bytes));
}

StateFile::~StateFile() { ::munmap(memory_, bytes_); }

std::span<std::byte> StateFile::area(std::uint64_t number) const {
  const StateHeader& there = header();
  return {memory_ + there.areas_at + number * there.area_bytes, there.area_bytes};
}

void StateFile::empty_area(std::uint64_t number) const {
  const StateHeader& there = header();
  if (there.areas[number].committed.load() <= kKeptBytes) return;
  (void)::fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(there.areas_at + number * there.area_bytes + kKeptBytes),
                    static_cast<off_t>(there.area_bytes - kKeptBytes));
}

}  // namespace shmvisor
