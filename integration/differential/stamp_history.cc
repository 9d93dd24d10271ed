#include "integration/differential/stamp_history.h"

#include <linux/shm.h>

#include <charconv>

namespace shmvisor {
namespace {

constexpr std::string_view kSegment = ",segment:";

/// The segment that "at:ADDRESS=...,segment:N,..." is of; -1 where it is of none.
int segment_in(std::string_view value) {
  const std::size_t found = value.find(kSegment);
  if (found == std::string_view::npos) return -1;
  value.remove_prefix(found + kSegment.size());
  int id = -1;
  std::from_chars(value.data(), value.data() + value.size(), id);
  return id;
}

}  // namespace

void StampHistory::follow(const Operation& operation, const Step& native) {
  if (!table_.applicable(operation)) return;
  const int worker = operation.worker;
  const int space = table_.worker(worker).space;
  switch (operation.kind) {
    case Kind::kShmat:
      return attached(operation, native);
    case Kind::kShmdt:
      return detached(operation, native);
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

void StampHistory::attached(const Operation& operation, const Step& native) {
  for (const auto& [name, value] : native.fields()) {
    const int id = segment_in(value);
    if (id < 0) continue;
    Space& space = space_of(operation.worker);
    if ((operation.operands[2].offset & SHM_REMAP) != 0) {
      rearranged(table_.worker(operation.worker).space, true);
    }
    space.attached.insert(id);
    space.at[name.substr(name.find(':') + 1)] = id;
    opened_.erase(id);
    lpid_.erase(id);
  }
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
  const std::set<int>& attached = rearranged_space.attached;
  rearranged_space.shuffled |= opens;
  if (opens) opened_.insert(attached.begin(), attached.end());
  closed_.insert(attached.begin(), attached.end());
  lpid_.insert(attached.begin(), attached.end());
}

}  // namespace shmvisor
