#include "emulation/memmap/mapping_space.h"

#include <cassert>
#include <utility>

#include "emulation/abi/pages.h"

namespace shmvisor {
namespace {

constexpr std::uint64_t kAddresses32 = std::uint64_t{1} << 32;

[[maybe_unused]] bool as_requested(const MapRequest& request, std::uint64_t address) {
  if (!is_page_aligned(address)) return false;
  if (request.placement != Placement::kAnywhere) return address == request.address;
  return !request.below_4gib || address + request.length_bytes <= kAddresses32;
}

}  // namespace

Result<std::optional<std::uint64_t>> MappingSpace::map(const MapRequest& request,
                                                       BackingFile file) {
  assert(request.valid());
  auto address = do_map(request, std::move(file));
  assert(!address || (*address ? as_requested(request, **address) : request.caller_may_complete));
  return address;
}

Result<MappingSpace::Outcome> MappingSpace::unmap(const AddressRange& range,
                                                  bool caller_may_complete) {
  const auto outcome = do_unmap(range, caller_may_complete);
  assert(!outcome || *outcome == Outcome::kDone || caller_may_complete);
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

}  // namespace shmvisor
