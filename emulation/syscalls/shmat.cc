// shmat(2): do_shmat() of ipc/shm.c, checks in its order.
#include "emulation/abi/call_numbers.h"
#include "emulation/abi/pages.h"
#include "emulation/syscalls/shm_call.h"

namespace shmvisor {
namespace {

struct Wanted {
  MapRequest request;
  int permissions = 0;  ///< what ipcperms() is asked for
};

/// What the address and the flags ask for; EINVAL where they make no sense.
Result<Wanted> decode_arguments(const ShmCall& call) {
  Wanted wanted;
  std::uint64_t address = call.address;
  const bool remap = (call.shmflg & abi::kShmRemap) != 0;
  if (address != 0) {
    if ((call.shmflg & abi::kShmRnd) != 0) {
      const std::uint64_t unit = kShmlbaBytes * call_numbers(call.abi).shmlba_factor;
      const std::uint64_t rest = address % unit;
      address -= rest;
      if (rest != 0 && address == 0 && remap) return Errno(EINVAL);
    } else if (!is_page_aligned(address)) {
      return Errno(EINVAL);
    }
    // Rounded down to 0 the kernel does not look for an overlap either.
    wanted.request.placement = remap || address == 0 ? Placement::kReplacing : Placement::kExact;
  } else if (remap) {
    return Errno(EINVAL);
  }
  wanted.request.address = address;

  wanted.request.access.read = true;
  wanted.permissions = 0444;
  if ((call.shmflg & abi::kShmRdonly) == 0) {
    wanted.request.access.write = true;
    wanted.permissions |= 0222;
  }
  if ((call.shmflg & abi::kShmExec) != 0) {
    wanted.request.access.execute = true;
    wanted.permissions |= 0111;
  }
  return wanted;
}

/// What an attach with SHM_REMAP takes the place of: mappings of segments, or the middle of one.
/// To the kernel that is a munmap(2), which splits first and then closes.
class Displaced {
 public:
  Displaced(const MapRequest& request, MappingSpace& space, const SegmentFiles& files)
      : range_(request.addresses()) {
    if (request.placement != Placement::kReplacing || range_.wraps()) return;
    const auto areas = space.list(range_);
    if (!areas) return;
    for (const MappedArea& area : *areas) {
      // Kept from now on: another thread may drop a removed one before this call comes to it.
      if (auto segment = files.find(area.file)) parts_.push_back({area.range, std::move(segment)});
    }
  }

  /// Once they are gone.
  void tell(SegmentFiles& files, MappingSpace& space, const MappingActor& by) const {
    for (const Part& part : parts_) {
      if (part.range.start < range_.start) part.segment->note_attach(by);
      if (part.range.end() > range_.end()) part.segment->note_attach(by);
      part.segment->note_detach(by);
      drop_detached(part.segment, space, files);
    }
  }

 private:
  struct Part {
    AddressRange range;
    std::shared_ptr<Segment> segment;
  };

  const AddressRange range_;
  std::vector<Part> parts_;
};

/// The kernel's shm_nattch++, until there is a description that keeps a removed segment alive.
class Opening {
 public:
  /// With the registry's lock held.
  Opening(Registry& registry, std::shared_ptr<Segment> segment)
      : registry_(registry), segment_(std::move(segment)) {
    segment_->begin_opening();
  }
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;
  ~Opening() { registry_.end_opening(segment_); }

 private:
  Registry& registry_;
  const std::shared_ptr<Segment> segment_;
};

/// The segment, where the caller may attach it. `opening` keeps it from then on.
Result<std::shared_ptr<Segment>> find_to_attach(const ShmCall& call, Caller& caller,
                                                Registry& registry, int permissions,
                                                std::optional<Opening>& opening, Denial& denial) {
  const Registry::ReadGuard state = registry.read();
  const auto found = state->find(call.shmid);
  if (!found) return found.error();
  const IpcPerm& perm = state->of(**found).perm;
  if (!ipcperms(perm, caller.subject(), permissions)) {
    denial = Denial::by_mode(perm.mode, permissions);
    return Errno(EACCES);
  }
  opening.emplace(registry, *found);
  return *found;
}

/// ipc(SHMAT) hands the address over in memory.
Reply deliver(const ShmCall& call, Caller& caller, std::uint64_t address) {
  if (!call.result_address) return static_cast<std::int64_t>(address);
  const auto narrow = static_cast<std::uint32_t>(address);
  const auto written =
      caller.copy_to_user(*call.result_address, std::as_bytes(std::span(&narrow, 1)));
  if (!written) return written.error();
  return 0;
}

}  // namespace

Reply shmat(const ShmCall& call, Caller& caller, Registry& registry) {
  if (call.shmid < 0) return Errno(EINVAL);
  Result<Wanted> wanted = decode_arguments(call);
  if (!wanted) return wanted.error();

  registry.settle_id(call.shmid);
  std::optional<Opening> opening;
  Denial denial;
  const auto found = find_to_attach(call, caller, registry, wanted->permissions, opening, denial);
  if (!found) return Reply(found.error(), denial);
  const std::shared_ptr<Segment>& segment = *found;
  MapRequest& request = wanted->request;
  BackingMemory& memory = segment->memory();
  // do_shmat(): who attaches without write access can never have it.
  request.maximum = request.access.write ? kAnyAccess : kReadExecute;
  Result<BackingFile> file = memory.open(request.maximum);
  opening.reset();
  if (!file) return file.error();

  request.length_bytes = memory.mapped_size_bytes();
  // What it takes the place of is told of below, which could not be taken back. With
  // shm_rmid_forced an attach in vain ends the segment, as in the kernel: a call that came again to
  // learn why would no longer find it.
  request.caller_may_complete =
      request.placement != Placement::kReplacing && !registry.rmid_forced();
  // Huge pages were reserved, or were not, when the segment was made.
  request.commit = !memory.is_huge();
  request.populate = registry.memory_policy().populate_on_attach;
  request.below_4gib = has_32_bits(call.abi);
  request.name = memory.name();
  // do_shmat() looks at the file's size here, which is not rounded to pages as a mapping is.
  const std::uint64_t file_size_bytes =
      memory.is_huge() ? request.length_bytes : segment->size_bytes();
  if (request.placement == Placement::kExact &&
      AddressRange{request.address, file_size_bytes}.wraps()) {
    return Errno(EINVAL);
  }
  const Displaced displaced(request, caller.space(), registry.files());
  // Once it is mapped nothing may fail.
  MappingActor by{caller.process(), 0};
  const EarlyStamps early(caller.space(), segment, Segment::Change::kAttach, by, registry.host());
  const auto address = caller.space().map(request, std::move(*file));
  if (!address) return address.error();
  by.now_seconds = registry.host().now_seconds();
  registry.host().note_attach(by.process, memory);
  displaced.tell(registry.files(), caller.space(), by);
  if (!*address) return completed_by_caller(segment, Segment::Change::kAttach, by);
  segment->note_attach(by);
  return deliver(call, caller, **address);
}

}  // namespace shmvisor
