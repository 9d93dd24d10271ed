#include "supervisor/saved/segment_copy.h"

#include <bit>
#include <cstdint>

#include "emulation/abi/shm_abi.h"
#include "emulation/syscalls/new_segment.h"

namespace shmvisor::saved {

SegmentState copy_of(const shmvisor::RegistryState& state, const Segment& segment) {
  const shmvisor::SegmentState& changing = state.of(segment);
  SegmentState copy;
  copy.id = segment.id();
  copy.perm = changing.perm;
  copy.size_bytes = segment.size_bytes();
  copy.ctime = changing.ctime_seconds;
  copy.cpid = segment.cpid().pid;
  copy.account = segment.account();
  copy.locked_by = changing.locked_by;
  return copy;
}

BackingRequest request_of(const SegmentState& segment, key_t name_key) {
  BackingRequest request;
  request.name = segment_name(name_key);
  request.size_bytes = segment.size_bytes;
  request.account = segment.account;
  request.reserve = segment.reserve;
  request.huge = segment.huge;
  if (segment.huge) {
    request.huge_size_log2 = static_cast<unsigned>(std::countr_zero(segment.page_bytes));
    request.huge_page_bytes = segment.page_bytes;
  }
  return request;
}

Segment::Creation creation_of(const SegmentState& segment) {
  Segment::Creation creation;
  creation.id = segment.id;
  creation.perm = segment.perm;
  creation.perm.mode &= abi::kPermissionBits;
  creation.size_bytes = segment.size_bytes;
  creation.cpid = {segment.cpid, nullptr};
  creation.account = segment.account;
  creation.now_seconds = segment.ctime;
  return creation;
}

FreeId free_id_of(int id) {
  return {id, IdSpace::index_of(id), static_cast<std::uint16_t>(IdSpace::seq_of(id)), true};
}

void set_stamps(Segment& segment, const AttachStamps& stamps) {
  segment.note_attach({stamps.lpid, stamps.atime});
  segment.note_detach({stamps.lpid, stamps.dtime});
}

}  // namespace shmvisor::saved
