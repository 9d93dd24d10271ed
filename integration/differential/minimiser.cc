#include "integration/differential/minimiser.h"

#include <algorithm>

namespace shmvisor {
namespace {

Sequence without(const Sequence& sequence, std::size_t begin, std::size_t count) {
  Sequence rest(sequence.begin(), sequence.begin() + static_cast<std::ptrdiff_t>(begin));
  const std::size_t end = std::min(begin + count, sequence.size());
  rest.insert(rest.end(), sequence.begin() + static_cast<std::ptrdiff_t>(end), sequence.end());
  return rest;
}

/// One pass: leaves out every stretch of `count` operations that is not needed. From the end, where
/// the fewest others depend on it.
bool drop_stretches(Sequence& sequence, std::size_t count,
                    const std::function<bool(const Sequence&)>& fails) {
  bool dropped = false;
  for (std::size_t stretch = (sequence.size() + count - 1) / count; stretch-- > 0;) {
    Sequence candidate = without(sequence, stretch * count, count);
    if (candidate.empty() || !fails(candidate)) continue;
    sequence = std::move(candidate);
    dropped = true;
  }
  return dropped;
}

}  // namespace

Sequence minimise(Sequence sequence, const std::function<bool(const Sequence&)>& fails) {
  for (std::size_t count = std::max<std::size_t>(sequence.size() / 2, 1);;) {
    const bool dropped = drop_stretches(sequence, count, fails);
    if (count == 1 && !dropped) return sequence;
    count = dropped && count == 1 ? 1 : std::max<std::size_t>(count / 2, 1);
  }
}

}  // namespace shmvisor
