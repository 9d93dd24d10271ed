#include "supervisor/control/reload_acts.h"

#include <utility>

#include "supervisor/control/audited_request.h"

namespace shmvisor {

std::optional<AuditRecord> ReloadActs::add(Reloader::Reading reading, AuditRecord act) {
  if (acts_.size() == kMost) return act;
  acts_.push_back({reading, std::move(act)});
  return std::nullopt;
}

std::vector<AuditRecord> ReloadActs::take(Reloader::Reading reading, const std::string& answer) {
  std::vector<AuditRecord> taken;
  std::vector<Waiting> others;
  for (Waiting& one : acts_) {
    if (one.reading > reading) {
      others.push_back(std::move(one));
      continue;
    }
    add_outcome(one.act, answer);
    taken.push_back(std::move(one.act));
  }
  acts_ = std::move(others);
  return taken;
}

}  // namespace shmvisor
