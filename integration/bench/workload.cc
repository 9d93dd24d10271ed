#include "integration/bench/workload.h"

#include <array>
#include <cmath>
#include <cstdio>

namespace shmvisor {
namespace {

std::string three_digits(double value) {
  std::array<char, 32> text{};
  const double size = std::fabs(value);
  const int decimals = size >= 100 || size == 0 ? 0 : size >= 10 ? 1 : 2;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

template <std::size_t N>
std::string with_prefix(double value, double step, const std::array<const char*, N>& units) {
  std::size_t at = 0;
  while (at + 1 < N && std::fabs(value) >= step * 0.9995) {
    value /= step;
    ++at;
  }
  return three_digits(value) + " " + units.at(at);
}

}  // namespace

bool higher_is_better(Unit unit) {
  return unit == Unit::kBytesPerSecond || unit == Unit::kPerSecond;
}

std::string format_value(double value, Unit unit) {
  switch (unit) {
    case Unit::kNanoseconds:
      return with_prefix<4>(value, 1000, {"ns", "µs", "ms", "s"});
    case Unit::kBytes:
      return with_prefix<3>(value, 1024, {"B", "KiB", "MiB"});
    case Unit::kBytesPerSecond:
      return with_prefix<4>(value, 1000, {"B/s", "kB/s", "MB/s", "GB/s"});
    case Unit::kPerSecond:
    case Unit::kWakeUps:
      return three_digits(value) + " /s";
  }
  return {};
}

}  // namespace shmvisor
