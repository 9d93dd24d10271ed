#include "integration/differential/stamp_history.h"

#include <linux/shm.h>

#include <algorithm>

namespace shmvisor {
void StampHistory::follow(const Operation& operation, const Step& native) {
  if (!table_.applicable(operation)) return;
  const int worker = operation.worker;
  const int space = table_.worker(worker).space;
  switch (operation.kind) {
    case Kind::kShmat:
      return attached(operation, native);
    case Kind::kShmdt:
      return detached(operation, native);
    case Kind::kShmctl:
      if (operation.operands[1].offset == IPC_RMID && native.value("result") == "0") {
        removed_.insert(std::string(native.value("segment")));
      }
      return;
    case Kind::kSysctl:
      forced_ |= operation.operands[0].offset == kShmRmidForced &&
                 operation.operands[1].offset != 0 && native.value("result") == "0";
      return;
    case Kind::kMprotect:
    case Kind::kMunmap:
    case Kind::kMremap:
    case Kind::kMmap:
    case Kind::kRemapFilePages:
    case Kind::kMadvise:
    case Kind::kMlock:
    case Kind::kMunlock:
    case Kind::kMlockall:
    case Kind::kMunlockall:
      rearranged(space, true);
      return;
    case Kind::kFork: {
      table_.apply(operation);
      const Space copy = spaces_[space];
      opened_.insert(copy.attached.begin(), copy.attached.end());
      lpid_.insert(copy.attached.begin(), copy.attached.end());
      space_of(operation.target()) = copy;
      return;
    }
    default:
      break;
  }
  for (const int ended : table_.apply(operation).ended_spaces) {
    rearranged(ended, false);
    spaces_.erase(ended);
  }
}

bool StampHistory::doomed_segment_about(int worker) const {
  const auto space = spaces_.find(table_.worker(worker).space);
  if (space == spaces_.end()) return false;
  const std::set<std::string>& attached = space->second.attached;
  return std::any_of(attached.begin(), attached.end(),
                     [this](const std::string& one) { return forced_ || removed_.contains(one); });
}

void StampHistory::attached(const Operation& operation, const Step& native) {
  if (!native.has("segment")) return;
  const std::string segment(native.value("segment"));
  Space& space = space_of(operation.worker);
  if ((operation.operands[2].offset & SHM_REMAP) != 0) {
    rearranged(table_.worker(operation.worker).space, true);
  }
  space.attached.insert(segment);
  space.at[std::string(native.value("result"))] = segment;
  opened_.erase(segment);
  lpid_.erase(segment);
}

void StampHistory::detached(const Operation& operation, const Step& native) {
  if (native.value("result") != "0") return;
  Space& space = space_of(operation.worker);
  if (space.shuffled) return;
  const auto found = space.at.find(std::string(native.value("address")));
  if (found == space.at.end()) return;
  closed_.erase(found->second);
  lpid_.erase(found->second);
  space.at.erase(found);
}

void StampHistory::rearranged(int space, bool opens) {
  Space& rearranged_space = spaces_[space];
  const std::set<std::string>& attached = rearranged_space.attached;
  rearranged_space.shuffled |= opens;
  if (opens) opened_.insert(attached.begin(), attached.end());
  closed_.insert(attached.begin(), attached.end());
  lpid_.insert(attached.begin(), attached.end());
}

}  // namespace shmvisor
