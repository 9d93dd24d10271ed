#include "supervisor/control/act_line.h"

#include <chrono>
#include <utility>

#include "supervisor/control/protocol.h"

namespace shmvisor {

std::string act_line(const AuditRecord& act) {
  const auto since_epoch =
      std::chrono::duration_cast<std::chrono::microseconds>(act.time().time_since_epoch());
  control::Json members = {{"time", static_cast<double>(since_epoch.count()) / 1e6}};
  for (const AuditField& field : act.fields()) {
    if (field.is_number) {
      members[field.name] = control::Json::parse(field.value);
    } else {
      members[field.name] = field.value;
    }
  }
  return control::to_line({{"act", std::move(members)}});
}

}  // namespace shmvisor
