// Allowances: how often those who may repeat something do it: some times at once, and once more
// every so often. What is beyond is counted.
//
// As many are kept as kMost: a full allowance is as good as none, and is forgotten first. Keys
// beyond that number share one.
//
// Thread rule: one thread at a time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>

namespace shmvisor {

struct Allowance {
  int left = 0;
  std::chrono::steady_clock::time_point counted_at;
  std::uint64_t left_out = 0;

  /// False where nothing is left: then it is counted.
  bool take() {
    if (left == 0) {
      ++left_out;
      return false;
    }
    --left;
    return true;
  }
};

template <typename Key>
class Allowances {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kMost = 512;

  Allowances(int at_once, Clock::duration for_one_more)
      : at_once_(at_once), for_one_more_(for_one_more) {}

  /// `shared`: whose it is where there are too many. Valid until the next call.
  Allowance& of(const Key& key, const Key& shared, Clock::time_point now) {
    auto known = all_.find(key);
    if (known == all_.end()) {
      if (all_.size() >= kMost) forget_full(now);
      known =
          all_.try_emplace(all_.size() >= kMost ? shared : key, Allowance{at_once_, now, 0}).first;
    }
    refill(known->second, now);
    return known->second;
  }

  /// What was left out since the last time: `tell(key, count)` for each key, null for those whose
  /// allowances are forgotten.
  template <typename Tell>
  void take_left_out(Tell&& tell) {
    for (auto& [key, allowance] : all_) {
      const auto count = std::exchange(allowance.left_out, 0);
      if (count != 0) tell(&key, count);
    }
    const auto count = std::exchange(left_out_of_forgotten_, 0);
    if (count != 0) tell(static_cast<const Key*>(nullptr), count);
  }

 private:
  void forget_full(Clock::time_point now) {
    for (auto entry = all_.begin(); entry != all_.end();) {
      refill(entry->second, now);
      const bool is_full = entry->second.left == at_once_;
      if (is_full) left_out_of_forgotten_ += entry->second.left_out;
      entry = is_full ? all_.erase(entry) : std::next(entry);
    }
  }

  void refill(Allowance& allowance, Clock::time_point now) const {
    const auto more = (now - allowance.counted_at) / for_one_more_;
    if (more <= 0) return;
    allowance.counted_at += more * for_one_more_;
    allowance.left = static_cast<int>(std::min<std::int64_t>(allowance.left + more, at_once_));
  }

  const int at_once_;
  const Clock::duration for_one_more_;
  std::map<Key, Allowance> all_;
  std::uint64_t left_out_of_forgotten_ = 0;
};

}  // namespace shmvisor
