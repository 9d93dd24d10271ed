// In glibc and musl, and most else that a compiler made:
//   b8 1e 00 00 00    mov $30, %eax
//   0f 05             syscall
// The first becomes e9 and the distance to a stub:
//   48 b9 ...         movabs $after_site, %rcx
//   49 bb ...         movabs $entry, %r11
//   41 ff e3          jmp *%r11
// rcx and r11 are any system call's to change.
#include "supervisor/inject/arch/call_site.h"

#include <cstring>
#include <limits>

#include "emulation/abi/pages.h"

namespace shmvisor::call_site {
namespace {

constexpr std::size_t kJumpBytes = 5;
constexpr std::uint8_t kLoadEax = 0xb8;
constexpr std::uint8_t kJump = 0xe9;
constexpr std::uint16_t kSyscall = 0x050f;

/// A prefix would make another instruction of the load: of another register, or of 16 bits.
bool may_be_prefix(std::uint8_t byte) {
  constexpr std::uint8_t kRex = 0x40;
  constexpr std::uint8_t kOperandSize = 0x66;
  return (byte & 0xf0) == kRex || byte == kOperandSize;
}

/// Stubs of sites in the same so many bytes lie together, in a page of as many bytes below them.
constexpr std::uint64_t kNeighbours = std::uint64_t{1} << 29;
/// Programs at fixed addresses begin at 4 MiB, and their heap grows above. Below them is nothing,
/// from vm.mmap_min_addr on.
constexpr std::uint64_t kLow = std::uint64_t{1} << 30;
constexpr std::uint64_t kLowest = std::uint64_t{1} << 20;
constexpr std::uint64_t kLowestBytes = std::uint64_t{2} << 20;

std::uint64_t page_in(std::uint64_t start, std::uint64_t bytes, std::uint64_t drawn) {
  return start + drawn % (bytes / kPageBytes) * kPageBytes;
}

}  // namespace

bool is_site(Word word, std::uint8_t before, int number) {
  std::array<std::uint8_t, sizeof(Word)> bytes{};
  std::memcpy(bytes.data(), &word, sizeof(word));
  std::int32_t loaded = 0;
  std::memcpy(&loaded, bytes.data() + 1, sizeof(loaded));
  std::uint16_t entering = 0;
  std::memcpy(&entering, bytes.data() + kJumpBytes, sizeof(entering));
  return bytes[0] == kLoadEax && loaded == number && entering == kSyscall && !may_be_prefix(before);
}

std::optional<Word> with_jump(Word word, std::uint64_t site, std::uint64_t stub) {
  const auto distance = static_cast<std::int64_t>(stub - (site + kJumpBytes));
  const auto narrow = static_cast<std::int32_t>(distance);
  if (narrow != distance) return std::nullopt;
  std::array<std::uint8_t, sizeof(Word)> bytes{};
  std::memcpy(bytes.data(), &word, sizeof(word));
  bytes[0] = kJump;
  std::memcpy(bytes.data() + 1, &narrow, sizeof(narrow));
  std::memcpy(&word, bytes.data(), sizeof(word));
  return word;
}

Stub stub(std::uint64_t after_site, std::uint64_t entry) {
  std::array<std::uint8_t, sizeof(Stub)> bytes{0x48, 0xb9, 0,    0,    0,    0,    0,    0,
                                               0,    0,    0x49, 0xbb, 0,    0,    0,    0,
                                               0,    0,    0,    0,    0x41, 0xff, 0xe3, 0xcc};
  std::memcpy(bytes.data() + 2, &after_site, sizeof(after_site));
  std::memcpy(bytes.data() + 12, &entry, sizeof(entry));
  Stub words{};
  std::memcpy(words.data(), bytes.data(), sizeof(words));
  return words;
}

std::uint64_t place_of_stubs(std::uint64_t site, std::uint64_t drawn) {
  if (site < kLow) return page_in(kLowest, kLowestBytes, drawn);
  return page_in(site / kNeighbours * kNeighbours - kNeighbours, kNeighbours, drawn);
}

}  // namespace shmvisor::call_site
