#include "supervisor/inject/page_mapping.h"

#include "policy/base/error_result.h"
#include "supervisor/inject/lent_mapping.h"

namespace shmvisor {

Result<MapAttempt> PageMapping::map(Mapping& mapping) {
  if (!page_.can_map_at(thread_, {mapping.arguments[0], mapping.arguments[1]})) {
    return MapAttempt::of(MapAttempt::Outcome::kNotThisWay);
  }
  page_.use().misses->store(CallPageUse::kUsed, std::memory_order_relaxed);
  const auto ran =
      page_.run(thread_, {CallPage::Task::kMap, mapping.arguments, mapping.lent->mark()},
                mapping.caller_may_complete, mapping.goes_alone);
  if (!ran && ran.error() == Errno(EAGAIN)) {
    return MapAttempt::of(MapAttempt::Outcome::kNotThisWay);
  }
  if (!ran) return ran.error();
  if (!*ran) return MapAttempt::of(MapAttempt::Outcome::kCompletedByCaller);
  if (!(*ran)->lost && !is_error_result((*ran)->result)) {
    thread_.mapped_by_code(static_cast<std::uint64_t>((*ran)->result));
  }
  return finish_lent_mapping(thread_, abi_, mapping, **ran);
}

}  // namespace shmvisor
