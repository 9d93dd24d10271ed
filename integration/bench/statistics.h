// Summary: the median and the quartiles of some samples.
//
// Quartiles are interpolated linearly between neighbours. Thread rule: plain values.
#pragma once

#include <optional>
#include <vector>

namespace shmvisor {

struct Summary {
  double median = 0;
  double lower_quartile = 0;
  double upper_quartile = 0;
};

/// Nothing where there are no samples.
std::optional<Summary> summarize(std::vector<double> samples);

/// `fraction` from 0 (the smallest) to 1 (the largest). Precondition: sorted and not empty.
double quantile(const std::vector<double>& sorted, double fraction);

}  // namespace shmvisor
