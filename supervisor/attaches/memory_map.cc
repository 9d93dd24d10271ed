#include "supervisor/attaches/memory_map.h"

#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <string>

#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/kernel/uapi.h"
#include "supervisor/procfs/proc_file.h"

namespace shmvisor {
namespace {

/// One line: "start-end rwxp offset major:minor inode  name", the last letter of the rights being
/// 's' for a shared mapping.
std::optional<MappedArea> parse_line(const char* line, bool& shared) {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::uint64_t inode = 0;
  MappedArea area;
  unsigned major_number = 0;
  unsigned minor_number = 0;
  std::array<char, 5> rights{};
  if (std::sscanf(line, "%" SCNx64 "-%" SCNx64 " %4c %" SCNx64 " %x:%x %" SCNu64, &start, &end,
                  rights.data(), &area.file_offset_bytes, &major_number, &minor_number,
                  &inode) != 7) {
    return std::nullopt;
  }
  area.access = {rights[0] == 'r', rights[1] == 'w', rights[2] == 'x'};
  shared = rights[3] == 's';
  area.range = {start, end - start};
  area.file = {makedev(major_number, minor_number), inode};
  return area;
}

}  // namespace

Result<MemoryMap> MemoryMap::open(pid_t pid, KernelFeatures& features) {
  auto maps = open_guarded_proc_file(pid, "maps");
  if (!maps) return maps.error();
  return MemoryMap(std::move(*maps), features);
}

Result<std::optional<MappedArea>> MemoryMap::area_above(std::uint64_t address, Areas which) {
  if (!parsed_ && features_.usable(KernelFeature::kProcmapQuery)) {
    auto area = query(address, which);
    if (area || area.error() != Errno(ENOTTY)) return area;
    features_.mark_absent(KernelFeature::kProcmapQuery);
  }
  if (!parsed_) {
    if (const auto parsed = parse(); !parsed) return parsed.error();
  }
  const auto wanted = [&](const ParsedArea& parsed) {
    return parsed.area.range.end() > address &&
           (which == Areas::kAll || parsed.area.file.inode != 0) &&
           (which != Areas::kShared || parsed.shared);
  };
  const auto above = std::find_if(parsed_->begin(), parsed_->end(), wanted);
  if (above == parsed_->end()) return std::optional<MappedArea>();
  return std::optional(above->area);
}

Result<std::optional<MappedArea>> MemoryMap::query(std::uint64_t address, Areas which) {
  procmap_query query{};
  query.size = sizeof(query);
  query.query_flags = PROCMAP_QUERY_COVERING_OR_NEXT_VMA;
  if (which != Areas::kAll) query.query_flags |= PROCMAP_QUERY_FILE_BACKED_VMA;
  if (which == Areas::kShared) query.query_flags |= PROCMAP_QUERY_VMA_SHARED;
  query.query_addr = address;
  if (::ioctl(maps_.get(), PROCMAP_QUERY, &query) != 0) {
    if (errno == ENOENT) return std::optional<MappedArea>();
    return Errno::current();
  }
  MappedArea area;
  area.range = {query.vma_start, query.vma_end - query.vma_start};
  area.file_offset_bytes = query.vma_offset;
  area.file = {makedev(query.dev_major, query.dev_minor), query.inode};
  area.access = {(query.vma_flags & PROCMAP_QUERY_VMA_READABLE) != 0,
                 (query.vma_flags & PROCMAP_QUERY_VMA_WRITABLE) != 0,
                 (query.vma_flags & PROCMAP_QUERY_VMA_EXECUTABLE) != 0};
  return std::optional(area);
}

Result<void> MemoryMap::parse() {
  const auto whole = read_to_end(maps_.get());
  if (!whole) return whole.error();
  if (whole->empty()) return Errno(ESRCH);  // a thread that has ended shows an empty map
  const std::string& text = *whole;
  parsed_.emplace();
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    bool shared = false;
    if (const auto area = parse_line(text.substr(begin, end - begin).c_str(), shared)) {
      parsed_->push_back({*area, shared});
    }
    begin = end + 1;
  }
  return {};
}

}  // namespace shmvisor
