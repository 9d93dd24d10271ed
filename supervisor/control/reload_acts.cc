#include "supervisor/control/reload_acts.h"

#include <utility>

#include "supervisor/control/audited_request.h"

namespace shmvisor {
namespace {

/// What became of a reload was not known when its act was told.
constexpr const char* kUnanswered = "unanswered";

}  // namespace

std::optional<AuditRecord> ReloadActs::add(Reloader::Reading reading, AuditRecord act) {
  if (acts_.size() == kMost) return std::move(act.add("result", kUnanswered));
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

std::vector<AuditRecord> ReloadActs::take_rest() {
  std::vector<AuditRecord> taken;
  for (Waiting& one : std::exchange(acts_, {})) {
    taken.push_back(std::move(one.act.add("result", kUnanswered)));
  }
  return taken;
}

}  // namespace shmvisor
