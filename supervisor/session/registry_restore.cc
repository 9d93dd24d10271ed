#include "supervisor/session/registry_restore.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "emulation/syscalls/new_segment.h"
#include "supervisor/kernel/lasting_pid.h"
#include "supervisor/memory/internal_mapping.h"
#include "supervisor/saved/record.h"
#include "supervisor/saved/segment_copy.h"
#include "supervisor/serve/call_log.h"

namespace shmvisor {
namespace {

using saved::Trouble;

std::string words_of(Errno error) { return std::strerror(error.value()); }

Result<void> write_all(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Errno::current();
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return {};
}

/// hugetlbfs has no write(2). Pages are allocated before they are touched: a touch would kill us if
/// no page is free.
Result<void> write_huge(int fd, std::span<const std::byte> bytes, std::uint64_t offset,
                        std::uint64_t page_bytes) {
  while (!bytes.empty()) {
    const std::uint64_t page = offset / page_bytes * page_bytes;
    const std::uint64_t within = offset - page;
    const std::size_t some = std::min<std::uint64_t>(bytes.size(), page_bytes - within);
    if (::fallocate(fd, 0, static_cast<off_t>(page), static_cast<off_t>(page_bytes)) != 0) {
      return Errno::current();
    }
    const auto mapping =
        InternalMapping::of(fd, page_bytes, PROT_READ | PROT_WRITE, static_cast<off_t>(page));
    if (!mapping) return mapping.error();
    std::memcpy(mapping->bytes().data() + within, bytes.data(), some);
    bytes = bytes.subspan(some);
    offset += some;
  }
  return {};
}

class Restoring {
 public:
  Restoring(Registry& registry, const RestoreOrder& order) : registry_(registry), order_(order) {}

  Result<void, Trouble> operator()(const saved::File& /*file*/) { return {}; }

  Result<void, Trouble> operator()(const saved::RegistryState& registry) {
    state_ = registry;
    // What exists may be more than the file's own limits allow.
    Limits binding{Limits::unlimited, Limits::unlimited, Limits::ipcmni};
    order_.limits.apply_to(binding);
    set_limits(binding);
    return {};
  }

  Result<void, Trouble> operator()(const saved::SegmentState& segment) {
    if (const auto allowed = check(segment); !allowed) return allowed;
    auto memory = make_memory(segment);
    if (!memory) return memory.error();
    insert(segment, std::move(*memory));
    file_.fd.reset();
    return {};
  }

  Result<void, Trouble> operator()(const saved::Contents& contents) {
    if (!file_.fd.valid()) {
      auto opened = last_->memory().open(kAnyAccess);
      if (!opened) return of_segment("cannot be filled: " + words_of(opened.error()));
      file_ = std::move(*opened);
    }
    const int fd = file_.fd.get();
    const auto written = last_state_.huge ? write_huge(fd, contents.bytes, contents.offset_bytes,
                                                       last_state_.page_bytes)
                                          : write_all(fd, contents.bytes, contents.offset_bytes);
    if (!written) return of_segment("cannot be filled: " + words_of(written.error()));
    return {};
  }

  Result<void, Trouble> operator()(const saved::Removal& removal) {
    file_.fd.reset();
    const auto found = registry_.read()->find(removal.id);
    if (!found) return {};
    change(RemoveSegment{*found});
    return {};
  }

  Result<void, Trouble> operator()(const saved::End& /*end*/) {
    file_.fd.reset();
    lock_pages();
    Limits limits = state_.limits;
    order_.limits.apply_to(limits);
    set_limits(limits);
    change(SetIdCursor{state_.cursor});
    change(SetNextId{state_.next_id});
    registry_.set_rmid_forced(order_.rmid_forced.value_or(state_.rmid_forced));
    return {};
  }

  [[nodiscard]] std::size_t segments() const {
    return static_cast<std::size_t>(registry_.read()->in_use());
  }

 private:
  void change(const Change& change) {
    Dropped dropped;
    { registry_.write().apply(change, dropped); }
    dropped.free();
  }

  void set_limits(const Limits& limits) {
    registry_.set_limits({limits.shmmax, limits.shmall, limits.shmmni});
  }

  [[nodiscard]] Trouble of_segment(const std::string& what) const {
    return "has segment " + std::to_string(last_state_.id) + ", which " + what;
  }

  Result<void, Trouble> check(const saved::SegmentState& segment) {
    last_state_ = segment;
    const auto there = [&](const char* kind, std::uint32_t id, const auto& knows) {
      if (knows(id)) return Result<void, Trouble>();
      return Result<void, Trouble>(of_segment("is of " + std::string(kind) + " " +
                                              std::to_string(id) +
                                              ", who is not in this user namespace"));
    };
    for (const uid_t user : {segment.perm.uid, segment.perm.cuid}) {
      if (const auto known = there("user", user, order_.knows_user); !known) return known;
    }
    for (const gid_t group : {segment.perm.gid, segment.perm.cgid}) {
      if (const auto known = there("group", group, order_.knows_group); !known) return known;
    }
    const Registry::ReadGuard state = registry_.read();
    if (state->full()) {
      const Denial denial{Denial::Reason::kShmmni, state->limits().shmmni, 1,
                          static_cast<std::uint64_t>(state->in_use())};
      return of_segment("is refused: " + describe(denial));
    }
    const auto refused = refuse_segment(segment.size_bytes, segment.account, *state, false);
    if (refused) return of_segment("is refused: " + describe(refused->denial()));
    return {};
  }

  Result<std::unique_ptr<BackingMemory>, Trouble> make_memory(const saved::SegmentState& segment) {
    BackingRequest request = saved::request_of(segment, segment.perm.key);
    request.commit = registry_.memory_policy().commit_on_create;
    Denial denial;
    auto memory = registry_.host().create_memory(request, denial);
    if (memory) return std::move(*memory);
    const std::string pages =
        segment.huge ? " in huge pages of " + std::to_string(segment.page_bytes) + " bytes" : "";
    return of_segment("cannot be made" + pages + ": " +
                      (denial.known() ? describe(denial) : words_of(memory.error())));
  }

  void insert(const saved::SegmentState& segment, std::unique_ptr<BackingMemory> memory) {
    Segment::Creation creation = saved::creation_of(segment);
    creation.creator->tid = lasting_pid();
    last_ = std::make_shared<Segment>(std::move(creation), std::move(memory));
    AttachStamps stamps;
    stamps.atime = segment.atime;
    stamps.dtime = segment.dtime;
    stamps.lpid = {segment.lpid, nullptr};
    saved::set_stamps(*last_, stamps);
    if ((segment.perm.mode & abi::kShmLocked) != 0) locked_.emplace_back(last_, segment.locked_by);
    change(InsertSegment{saved::free_id_of(segment.id), last_});
  }

  /// Locks pages as far as this machine lets us; a segment counts as locked anyway.
  void lock_pages() {
    for (const auto& [segment, user] : locked_) {
      const auto found = registry_.read()->find(segment->id());
      if (!found) continue;  // it is removed again
      change(SetLocked{segment, true, user});
      segment->renew_lock([&, of = segment.get()] { return registry_.lock_mode(*of); });
    }
  }

  Registry& registry_;
  const RestoreOrder& order_;
  saved::RegistryState state_;
  std::shared_ptr<Segment> last_;
  saved::SegmentState last_state_;
  BackingFile file_;  ///< of the last segment, while it is being filled
  std::vector<std::pair<std::shared_ptr<Segment>, uid_t>> locked_;
};

}  // namespace

Result<std::size_t, std::string> restore_registry(saved::StateReader& file, Registry& registry,
                                                  const RestoreOrder& order) {
  Restoring restoring(registry, order);
  for (;;) {
    const auto record = file.next();
    if (!record) return record.error();
    if (!*record) return restoring.segments();
    if (const auto restored = std::visit(restoring, **record); !restored) return restored.error();
  }
}

}  // namespace shmvisor
