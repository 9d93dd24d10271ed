#include "emulation/memmap/mapping_space.h"

#include <cassert>
#include <limits>
#include <utility>

namespace shmvisor {
namespace {

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kAddresses32 = std::uint64_t{1} << 32;
constexpr AddressRange kWholeSpace{0, std::numeric_limits<std::uint64_t>::max()};

[[maybe_unused]] bool as_requested(const MapRequest& request, std::uint64_t address) {
  if (address % kPageBytes != 0) return false;
  if (request.placement != Placement::kAnywhere) return address == request.address;
  return !request.below_4gib || address + request.length_bytes <= kAddresses32;
}

}  // namespace

Result<std::optional<std::uint64_t>> MappingSpace::map(const MapRequest& request,
                                                       BackingFile file) {
  assert(request.valid());
  auto address = do_map(request, std::move(file));
  assert(!address || (*address ? as_requested(request, **address) : request.may_be_left));
  return address;
}

Result<MappingSpace::Outcome> MappingSpace::unmap(const AddressRange& range, bool may_be_left) {
  const auto outcome = do_unmap(range, may_be_left);
  assert(!outcome || *outcome == Outcome::kDone || may_be_left);
  return outcome;
}

Result<std::optional<MappedArea>> MappingSpace::area_above(std::uint64_t address) {
  auto area = do_area_above(address);
  assert(!area || !*area || ((*area)->range.end() > address && !(*area)->range.empty()));
  return area;
}

Result<std::vector<MappedArea>> MappingSpace::list(const AddressRange& range) {
  assert(!range.wraps());
  std::vector<MappedArea> areas;
  for (std::uint64_t cursor = range.start; cursor < range.end();) {
    auto area = area_above(cursor);
    if (!area) return area.error();
    if (!*area || (*area)->range.start >= range.end()) break;
    cursor = (*area)->range.end();
    areas.push_back(**area);
  }
  return areas;
}

Result<std::uint64_t> MappingSpace::invalidate(const Invalidation& stale) {
  assert(!stale.offsets.empty() && !stale.offsets.wraps());
  assert(stale.offsets.start % kPageBytes == 0 && stale.offsets.length % kPageBytes == 0);
  // Listed before anything changes, so that what is mapped anew is not found again.
  const auto areas = list(kWholeSpace);
  if (!areas) return areas.error();
  std::uint64_t changed = 0;
  for (const MappedArea& area : *areas) {
    const OffsetRange part = area.offsets().common(stale.offsets);
    if (area.file != stale.file || part.empty()) continue;
    const auto done = stale.replacement == nullptr
                          ? remove({area.address_of(part.start), part.length})
                          : replace(area, part, *stale.replacement);
    if (!done) return done.error();
    ++changed;
  }
  return changed;
}

Result<void> MappingSpace::replace(const MappedArea& area, const OffsetRange& part,
                                   Mappable& replacement) {
  const OffsetRange kept = part.common({0, replacement.length_bytes()});
  if (!kept.empty()) {
    const auto limits = do_limits_of(area);
    if (!limits) return limits.error();
    const auto now = replacement.translate(kept, limits->maximum);
    if (!now) return now.error();
    auto file = now->file.open(now->maximum);
    if (!file) return file.error();
    MapRequest request;
    request.address = area.address_of(kept.start);
    request.length_bytes = kept.length;
    request.placement = Placement::kReplacing;
    request.access = area.access;
    request.maximum = now->maximum;
    request.offset_bytes = now->file_offset;
    request.commit = !now->file.is_huge();
    request.lock = limits->lock;
    request.name = replacement.identity().name;
    const auto mapped = map(request, std::move(*file));
    if (!mapped) return mapped.error();
  }
  const OffsetRange beyond{kept.end(), part.end() - kept.end()};
  if (beyond.empty()) return {};
  return remove({area.address_of(beyond.start), beyond.length});
}

Result<void> MappingSpace::remove(const AddressRange& range) {
  const auto unmapped = unmap(range);
  if (!unmapped) return unmapped.error();
  return {};
}

}  // namespace shmvisor
