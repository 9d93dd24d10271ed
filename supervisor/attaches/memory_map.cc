#include "supervisor/attaches/memory_map.h"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <utility>

#include "policy/base/held_locks.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/kernel/uapi.h"

namespace shmvisor {

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
  const auto wanted = [&](const MapsText::Area& parsed) {
    return parsed.area.range.end() > address &&
           (which == Areas::kAll || parsed.area.file.inode != 0) &&
           (which != Areas::kShared || parsed.shared);
  };
  const auto above = std::find_if(parsed_->begin(), parsed_->end(), wanted);
  if (above == parsed_->end()) return std::optional<MappedArea>();
  return std::optional(above->area);
}

Result<std::optional<MappedArea>> MemoryMap::query(std::uint64_t address, Areas which) {
  HeldLocks::assert_may_wait();
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

std::uint64_t MemoryMap::inode() const {
  struct stat status {};
  return ::fstat(maps_.get(), &status) == 0 ? status.st_ino : 0;
}

Result<void> MemoryMap::parse() {
  MapsText text(maps_.get());
  std::vector<MapsText::Area> areas;
  for (;;) {
    const auto more = text.read_on(false, areas);
    if (!more) return more.error();
    if (!*more) break;
  }
  parsed_ = std::move(areas);
  return {};
}

}  // namespace shmvisor
