#include "supervisor/inject/entry_search.h"

#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>

#include "emulation/abi/abi.h"
#include "emulation/memmap/address_range.h"
#include "supervisor/attaches/maps_text.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/procfs/proc_file.h"

namespace shmvisor {
namespace {

/// It has one to three pages of code.
constexpr std::uint64_t kMostVdsoPages = 16;
constexpr std::size_t kWordBytes = 8;

using Words = std::array<std::byte, 2 * kWordBytes>;

/// Two words of its memory; nothing where they cannot be read.
bool read_words(const StoppedThread& thread, std::uint64_t address, Words& words) {
  for (std::size_t at = 0; at < words.size(); at += kWordBytes) {
    const auto word = thread.peek(address + at);
    if (!word) return false;
    std::memcpy(words.data() + at, &*word, kWordBytes);
  }
  return true;
}

std::optional<AddressRange> vdso_of(pid_t tid) {
  const auto file = open_guarded_proc_file(tid, "maps");
  if (!file) return std::nullopt;
  const auto text = read_to_end(file->get());
  if (!text) return std::nullopt;
  const std::size_t name = text->find(" [vdso]\n");
  if (name == std::string::npos) return std::nullopt;
  const std::size_t begin = text->rfind('\n', name) + 1;  // npos + 1 is 0
  const auto parsed = MapsText::parse(std::string_view(*text).substr(begin, name - begin));
  if (!parsed || parsed->area.range.length > kMostVdsoPages * kPageBytes) return std::nullopt;
  return parsed->area.range;
}

}  // namespace

std::optional<std::uint64_t> find_entry(const StoppedThread& thread) {
  const Registers& registers = thread.registers();
  Words words{};
  if (read_words(thread, registers.entry(), words) && registers.would_enter_by(words)) {
    return registers.entry();
  }
  const auto vdso = vdso_of(thread.tid());
  if (!vdso) return std::nullopt;
  for (std::uint64_t at = vdso->start; at + words.size() <= vdso->end(); at += kWordBytes) {
    if (!read_words(thread, at, words)) return std::nullopt;
    for (std::size_t within = 0; within < kWordBytes; ++within) {
      if (registers.would_enter_by(std::span(words).subspan(within))) return at + within;
    }
  }
  return std::nullopt;
}

}  // namespace shmvisor
