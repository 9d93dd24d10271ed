#include "integration/bench/statistics.h"

#include <algorithm>
#include <cmath>

namespace shmvisor {

double quantile(const std::vector<double>& sorted, double fraction) {
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(place));
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = place - std::floor(place);
  return sorted[below] * (1 - weight) + sorted[above] * weight;
}

std::optional<Summary> summarize(std::vector<double> samples) {
  if (samples.empty()) return std::nullopt;
  std::sort(samples.begin(), samples.end());
  return Summary{quantile(samples, 0.5), quantile(samples, 0.25), quantile(samples, 0.75)};
}

}  // namespace shmvisor
