#include "supervisor/session/registry_snapshot.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "emulation/abi/pages.h"
#include "supervisor/memory/memfd_memory.h"
#include "supervisor/saved/record_writer.h"
#include "supervisor/saved/segment_copy.h"

namespace shmvisor {
namespace {

struct Copied {
  saved::RegistryState registry;
  std::vector<saved::SegmentState> segments;
  std::vector<std::shared_ptr<Segment>> of_segments;
};

saved::SegmentState copy_of(const RegistryState& state, const Segment& segment) {
  saved::SegmentState copy = saved::copy_of(state, segment);
  const AttachStamps stamps = segment.stamps();
  copy.atime = stamps.atime;
  copy.dtime = stamps.dtime;
  copy.lpid = stamps.lpid.pid;
  return copy;
}

Copied copy_state(Registry& registry) {
  Copied copied;
  const Registry::ReadGuard state = registry.read();
  const auto most = static_cast<std::size_t>(state->in_use());
  copied.segments.reserve(most);
  copied.of_segments.reserve(most);
  state->for_each([&](const std::shared_ptr<Segment>& segment) {
    if ((state->of(*segment).perm.mode & abi::kShmDest) != 0) {
      ++copied.registry.doomed;
      return;
    }
    copied.segments.push_back(copy_of(*state, *segment));
    copied.of_segments.push_back(segment);
  });
  copied.registry.limits = state->limits();
  copied.registry.rmid_forced = registry.rmid_forced();
  copied.registry.next_id = state->next_id_hint();
  copied.registry.cursor = state->id_cursor();
  copied.registry.segments = static_cast<std::uint32_t>(copied.segments.size());
  return copied;
}

/// The properties of a segment's memory do not change; and all memory here is the Machine's.
void add_memory(saved::SegmentState& copy, const Segment& segment) {
  auto& memory = static_cast<MemfdMemory&>(segment.memory());
  copy.huge = memory.is_huge();
  copy.page_bytes = memory.page_bytes();
  copy.reserve = memory.is_reserved();
  copy.inode = memory.identity().inode;
  const PageUsage usage = memory.usage();
  copy.allocated_pages = usage.resident + usage.swapped;
}

Result<void> write_all(Copied& copied, const saved::File& head, saved::RecordWriter& writer) {
  if (const auto written = writer.write(head); !written) return written;
  if (const auto written = writer.write(copied.registry); !written) return written;
  for (std::size_t place = 0; place < copied.segments.size(); ++place) {
    add_memory(copied.segments[place], *copied.of_segments[place]);
    if (const auto written = writer.write(copied.segments[place]); !written) return written;
  }
  return writer.finish();
}

}  // namespace

Result<RegistrySnapshot> take_snapshot(Registry& registry, const std::string& version) {
  registry.settle();
  UniqueFd file(::memfd_create("shmvisor-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid()) return Errno(ENOMEM);
  Copied copied = copy_state(registry);
  saved::File head{static_cast<std::uint32_t>(kPageBytes), registry.host().now_seconds()};
  version.copy(head.version, sizeof(head.version) - 1);
  saved::RecordWriter writer(file.get());
  if (!write_all(copied, head, writer) || ::lseek(file.get(), 0, SEEK_SET) != 0 ||
      ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) !=
          0) {
    return Errno(ENOMEM);
  }
  return RegistrySnapshot{std::move(file), copied.registry.segments, copied.registry.doomed};
}

}  // namespace shmvisor
