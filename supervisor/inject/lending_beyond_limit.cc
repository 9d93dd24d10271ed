#include "supervisor/inject/lending_beyond_limit.h"

#include "supervisor/inject/raised_limit.h"
#include "supervisor/inject/repeated_call.h"
#include "supervisor/inject/stepped_mapping.h"

namespace shmvisor {

Result<MapAttempt> LendingBeyondLimit::map(Mapping& mapping) {
  constexpr int kMostLosses = 3;
  constexpr auto kNotThisWay = MapAttempt::Outcome::kNotThisWay;
  StoppedThread& thread = hold_.thread();
  const auto raised = RaisedLimit::of(thread);
  if (!raised) return MapAttempt::of(kNotThisWay);
  for (int losses = 0; losses < kMostLosses; ++losses) {
    const auto number =
        RepeatedCall(hold_.call(), thread, hold_.expected()).lend(*mapping.lent, nullptr);
    if (!number && number.error() == Errno(EMFILE)) return MapAttempt::of(kNotThisWay);
    if (!number) return number.error();
    mapping.arguments[kMmapDescriptor] = static_cast<std::uint64_t>(*number);
    const auto attempt = SteppedMapping(thread, hold_.call().raw().abi).map(mapping);
    if (!attempt || attempt->outcome != MapAttempt::Outcome::kLost) return attempt;
  }
  return MapAttempt::of(kNotThisWay);
}

}  // namespace shmvisor
