#include "supervisor/control/reload_answer.h"

#include "supervisor/control/protocol.h"

namespace shmvisor {

std::string answer_reload(const SteeringUpdate& update) {
  if (update.problems.empty()) {
    return control::to_line({{"reply", "reload"},
                             {"rules", update.steering.rule_count()},
                             {"need_restart", update.need_restart},
                             {"warnings", update.warnings}});
  }
  std::string text;
  for (const std::string& one : update.problems) text += (text.empty() ? "" : "; ") + one;
  switch (update.shortage) {
    case SteeringUpdate::Shortage::kNone:
      break;
    case SteeringUpdate::Shortage::kMemory:
      return control::Refusal{"no-memory", text}.line();
    case SteeringUpdate::Shortage::kThreads:
      return control::Refusal{"no-thread", text}.line();
  }
  return control::Refusal{"bad-configuration", text}.line();
}

}  // namespace shmvisor
