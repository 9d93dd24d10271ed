#include "supervisor/attaches/look_patience.h"

#include <algorithm>

namespace shmvisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr int kMostGivenUp = 64;
/// Where hostile processes are so many that a count would end without them, each gets the time that
/// one may take: a late answer is better than none.
constexpr int kManyGivenUp = 32;
constexpr milliseconds kMostForOne(25);

}  // namespace

bool LookPatience::over() const {
  return given_up >= kMostGivenUp || Clock::now() - began >= most_time;
}

nanoseconds LookPatience::work_for_one() const {
  if (given_up >= kManyGivenUp) return kMostForOne;
  return std::max<nanoseconds>(work_left, kLeast);
}

nanoseconds LookPatience::wait_for_one() const { return std::max<nanoseconds>(wait_left, kLeast); }

void LookPatience::charge(nanoseconds worked) {
  work_left = std::max(work_left - worked, nanoseconds(0));
}

void LookPatience::charge_wait(nanoseconds waited) {
  wait_left = std::max(wait_left - waited, nanoseconds(0));
}

}  // namespace shmvisor
