#include "supervisor/inject/call_site.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "supervisor/attaches/memory_map.h"
#include "supervisor/credentials/borrowed_identity.h"

namespace shmvisor {
namespace {

constexpr std::size_t kChunkBytes = 4096;

std::optional<std::uint64_t> find_in(int memory, const AddressRange& range,
                                     const std::array<std::uint8_t, 2>& instruction) {
  // One byte of the chunk before, since an instruction may lie across.
  std::array<std::uint8_t, kChunkBytes + 1> bytes{};
  std::size_t kept = 0;
  for (std::uint64_t at = range.start; at < range.end(); at += kChunkBytes) {
    const ssize_t got = ::pread(memory, &bytes[kept], kChunkBytes, static_cast<off_t>(at));
    if (got <= 0) return std::nullopt;
    const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(kept) + got;
    const auto found = std::search(bytes.begin(), end, instruction.begin(), instruction.end());
    if (found != end) return at - kept + static_cast<std::uint64_t>(found - bytes.begin());
    bytes[0] = *(end - 1);
    kept = 1;
  }
  return std::nullopt;
}

}  // namespace

Result<std::uint64_t> find_call_site(pid_t tid, Abi abi, KernelFeatures& features) {
  const std::array<std::uint8_t, 2> instruction = abi == Abi::kX86_64
                                                      ? std::array<std::uint8_t, 2>{0x0f, 0x05}
                                                      : std::array<std::uint8_t, 2>{0xcd, 0x80};
  auto map = MemoryMap::open(tid, features);
  if (!map) return map.error();
  std::vector<AddressRange> executable;
  for (std::uint64_t cursor = 0;;) {
    const auto area = map->area_above(cursor, Areas::kAll);
    if (!area) return area.error();
    if (!*area) break;
    cursor = (*area)->range.end();
    if ((*area)->access.covers(kReadExecute)) executable.push_back((*area)->range);
    if (cursor == 0) break;
  }
  const auto memory = reach_proc_file(tid, "mem");
  if (!memory) return memory.error();
  // The vdso is the uppermost.
  for (auto range = executable.rbegin(); range != executable.rend(); ++range) {
    if (const auto found = find_in(memory->get(), *range, instruction)) return *found;
  }
  return Errno(ENOEXEC);
}

}  // namespace shmvisor
