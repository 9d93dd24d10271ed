#include "integration/differential/creator_history.h"

namespace shmvisor {
void CreatorHistory::follow(const Operation& operation, const Step& native) {
  if (!table_.applicable(operation)) return;
  const ProcessTable::Worker& worker = table_.worker(operation.worker);
  const bool creates = operation.kind == Kind::kShmget || operation.kind == Kind::kChurn;
  if (creates && native.value("result").find_first_not_of("0123456789") == std::string_view::npos) {
    creators_.insert(worker.process);
  }
  if (operation.kind == Kind::kSysctl && operation.operands[0].offset == kShmRmidForced) {
    forced_ |= native.value("result") == "0";
  }
  if (operation.kind == Kind::kExec && !worker.leader) {
    mistaken_ |= creators_.contains(worker.process);
  }
  table_.apply(operation);
}

}  // namespace shmvisor
