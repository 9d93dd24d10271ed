#include "emulation/syscalls/new_segment.h"

#include <array>
#include <cstdio>

#include "emulation/abi/pages.h"

namespace shmvisor {
namespace {

/// Also where the last page would end beyond 2^64.
std::uint64_t all_pages_of(std::uint64_t bytes) {
  return bytes / kPageBytes + (bytes % kPageBytes == 0 ? 0 : 1);
}

/// What newseg() refuses before it allocates anything. `pages_before`: of all other segments.
std::optional<Reply> refuse_size(std::uint64_t size_bytes, const Limits& limits,
                                 std::uint64_t pages_before) {
  using Reason = Denial::Reason;
  if (size_bytes < Limits::shmmin) {
    return Reply(Errno(EINVAL), {Reason::kShmmin, Limits::shmmin, size_bytes, 0});
  }
  if (size_bytes > limits.shmmax) {
    return Reply(Errno(EINVAL), {Reason::kShmmax, limits.shmmax, size_bytes, 0});
  }
  const std::uint64_t pages = pages_of(size_bytes);
  const std::uint64_t total = pages_before + pages;
  if (pages * kPageBytes < size_bytes || total < pages || total > limits.shmall) {
    return Reply(Errno(ENOSPC),
                 {Reason::kShmall, limits.shmall, all_pages_of(size_bytes), pages_before});
  }
  return std::nullopt;
}

/// The same for what one user may have. `before`: the user's other segments.
std::optional<Reply> refuse_user(std::uint64_t size_bytes, const LimitSettings& limit,
                                 const UserUsage& before) {
  using Reason = Denial::Reason;
  if (limit.shmmax && size_bytes > *limit.shmmax) {
    return Reply(Errno(EINVAL), {Reason::kUserShmmax, *limit.shmmax, size_bytes, 0});
  }
  const std::uint64_t pages = pages_of(size_bytes);
  if (limit.shmall && before.pages + pages > *limit.shmall) {
    return Reply(Errno(ENOSPC), {Reason::kUserShmall, *limit.shmall, pages, before.pages});
  }
  if (limit.shmmni && before.segments >= *limit.shmmni) {
    return Reply(Errno(ENOSPC), {Reason::kUserShmmni, *limit.shmmni, 1, before.segments});
  }
  return std::nullopt;
}

}  // namespace

std::string segment_name(key_t key) {
  std::array<char, 13> name{};
  std::snprintf(name.data(), name.size(), "SYSV%08x", static_cast<unsigned>(key));
  return name.data();
}

std::optional<Reply> refuse_segment(std::uint64_t size_bytes, uid_t user,
                                    const RegistryState& state, bool others) {
  const Creations& creations = state.creations();
  const std::uint64_t pages = state.total_pages() + (others ? creations.pages() : 0);
  if (auto refused = refuse_size(size_bytes, state.limits(), pages)) return refused;
  const LimitSettings limit = state.limit_of(user);
  if (!limit.sets_any()) return std::nullopt;
  UserUsage before = state.usage_of(user);
  if (others) {
    const UserUsage making = creations.of_user(user);
    before.segments += making.segments;
    before.pages += making.pages;
  }
  return refuse_user(size_bytes, limit, before);
}

}  // namespace shmvisor
