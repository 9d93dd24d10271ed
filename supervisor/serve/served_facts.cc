#include "supervisor/serve/served_facts.h"

#include "supervisor/serve/program_path.h"

namespace shmvisor {
namespace {

RuledCall command_of(int command) {
  switch (command) {
    case abi::kIpcRmid:
      return RuledCall::kIpcRmid;
    case abi::kIpcSet:
      return RuledCall::kIpcSet;
    case abi::kIpcStat:
      return RuledCall::kIpcStat;
    case abi::kIpcInfo:
      return RuledCall::kIpcInfo;
    case abi::kShmLock:
      return RuledCall::kShmLock;
    case abi::kShmUnlock:
      return RuledCall::kShmUnlock;
    case abi::kShmStat:
      return RuledCall::kShmStat;
    case abi::kShmStatAny:
      return RuledCall::kShmStatAny;
    case abi::kShmInfo:
      return RuledCall::kShmInfo;
    default:
      return RuledCall::kOtherCommand;
  }
}

/// The segment of the identifier, or of the index, that a shmat or shmctl has; null for none.
std::shared_ptr<Segment> find_named(const ShmCall& call, const Registry& registry) {
  const bool by_index = call.operation == ShmOperation::kShmctl &&
                        (call.command == abi::kShmStat || call.command == abi::kShmStatAny);
  const bool none = call.operation == ShmOperation::kShmctl &&
                    (call.command == abi::kIpcInfo || call.command == abi::kShmInfo);
  if (none || call.shmid < 0) return nullptr;
  const Registry::ReadGuard state = registry.read();
  const auto found = by_index ? state->find_index(call.shmid) : state->find(call.shmid);
  return found ? *found : nullptr;
}

}  // namespace

RuledCall ServedFacts::call() {
  switch (call_.operation) {
    case ShmOperation::kShmget:
      return RuledCall::kShmget;
    case ShmOperation::kShmat:
      return RuledCall::kShmat;
    case ShmOperation::kShmdt:
      return RuledCall::kShmdt;
    case ShmOperation::kShmctl:
      break;
  }
  return command_of(call_.command);
}

const std::shared_ptr<Segment>& ServedFacts::segment() {
  if (!segment_) {
    segment_ = call_.operation == ShmOperation::kShmdt
                   ? find_attached(call_.address, caller_.space(), registry_.files())
                   : find_named(call_, registry_);
  }
  return *segment_;
}

std::optional<std::uint32_t> ServedFacts::key() {
  if (call_.operation == ShmOperation::kShmget) return static_cast<std::uint32_t>(call_.key);
  const auto& found = segment();
  if (found == nullptr) return std::nullopt;
  const Registry::ReadGuard state = registry_.read();
  return static_cast<std::uint32_t>(state->of(std::as_const(*found)).perm.key);
}

std::optional<std::uint64_t> ServedFacts::size_bytes() {
  if (call_.operation == ShmOperation::kShmget) return call_.size_bytes;
  const auto& found = segment();
  return found == nullptr ? std::nullopt : std::optional(found->size_bytes());
}

std::optional<std::string> ServedFacts::command() {
  if (!command_) command_ = program_path(caller_.thread().tid, {group_, caller_.account()});
  return *command_;
}

}  // namespace shmvisor
