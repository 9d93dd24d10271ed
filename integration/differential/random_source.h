// RandomSource: SplitMix64, the same numbers from a seed on every machine.
#pragma once

#include <cstdint>
#include <initializer_list>

namespace shmvisor {

class RandomSource {
 public:
  explicit RandomSource(std::uint64_t seed) : state_(seed * kStep + 0x1234567) {}

  std::uint64_t next() {
    state_ += kStep;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool percent(unsigned chance) { return below(100) < chance; }
  std::int64_t one_of(std::initializer_list<std::int64_t> values) {
    return values.begin()[below(values.size())];
  }

 private:
  static constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15;

  std::uint64_t state_;
};

}  // namespace shmvisor
