#include "supervisor/inject/stepped_mapping.h"

#include "supervisor/inject/lent_mapping.h"

namespace shmvisor {

Result<MapAttempt> SteppedMapping::map(Mapping& mapping) {
  thread_.intend(journal::InjectionNote::kMap);
  const auto mapped = thread_.call(abi_, RemoteCall::kMmap, mapping.arguments);
  if (!mapped) return mapped.error();
  return finish_lent_mapping(thread_, abi_, mapping, {.result = *mapped});
}

}  // namespace shmvisor
