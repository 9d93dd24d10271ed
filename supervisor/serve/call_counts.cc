#include "supervisor/serve/call_counts.h"

namespace shmvisor {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

std::size_t place_of(std::chrono::nanoseconds took) {
  std::size_t place = 0;
  while (place < CallCounts::kBounds.size() && took > CallCounts::kBounds.at(place)) ++place;
  return place;
}

}  // namespace

void CallCounts::add(ShmOperation operation, bool failed, Denial::Reason reason,
                     std::optional<std::chrono::nanoseconds> took) {
  Kind& kind = kinds_.at(static_cast<std::size_t>(operation));
  kind.calls.fetch_add(1, kRelaxed);
  if (failed) kind.errors.fetch_add(1, kRelaxed);
  if (reason != Denial::Reason::kNone) {
    refusals_.at(static_cast<std::size_t>(reason)).fetch_add(1, kRelaxed);
  }
  if (!took) return;
  kind.within.at(place_of(*took)).fetch_add(1, kRelaxed);
  kind.sum_ns.fetch_add(took->count(), kRelaxed);
}

CallCounts::Count CallCounts::of(ShmOperation operation) const {
  const Kind& kind = kinds_.at(static_cast<std::size_t>(operation));
  // Never more errors than calls.
  const std::uint64_t errors = kind.errors.load();
  return {kind.calls.load(), errors};
}

CallCounts::Durations CallCounts::durations(ShmOperation operation) const {
  const Kind& kind = kinds_.at(static_cast<std::size_t>(operation));
  Durations durations;
  for (std::size_t place = 0; place < durations.counts.size(); ++place) {
    durations.counts.at(place) = kind.within.at(place).load(kRelaxed);
  }
  durations.sum = std::chrono::nanoseconds(kind.sum_ns.load(kRelaxed));
  return durations;
}

std::uint64_t CallCounts::refusals(Denial::Reason reason) const {
  return refusals_.at(static_cast<std::size_t>(reason)).load(kRelaxed);
}

}  // namespace shmvisor
