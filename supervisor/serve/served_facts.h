// ServedFacts: what rules can ask about a call that is being served. Each fact is found when a rule
// first asks for it.
//
// The key and size of a shmget are its arguments; those of another call are the key and size of the
// segment that it names, as they are before the call.
//
// Ownership: borrows all arguments. Thread rule: the thread that serves the call.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "emulation/syscalls/shm_call.h"
#include "policy/rules/rule_set.h"
#include "supervisor/tasks/losable_threads.h"

namespace shmvisor {

class ServedFacts final : public CallFacts {
 public:
  /// `group`: a number of the served group, unique in this process, for LosableThreads.
  ServedFacts(const ShmCall& call, Caller& caller, Registry& registry,
              std::span<const std::string> containers, std::uintptr_t group)
      : call_(call), caller_(caller), registry_(registry), containers_(containers), group_(group) {}

  [[nodiscard]] RuledCall call() override;
  [[nodiscard]] std::uint32_t uid() override { return caller_.subject().euid(); }
  [[nodiscard]] std::uint32_t gid() override { return caller_.subject().egid(); }
  [[nodiscard]] std::optional<std::uint32_t> key() override;
  [[nodiscard]] std::optional<std::uint64_t> size_bytes() override;
  [[nodiscard]] std::span<const std::string> containers() override { return containers_; }
  [[nodiscard]] std::optional<std::string> command() override;

 private:
  [[nodiscard]] const std::shared_ptr<Segment>& segment();

  const ShmCall& call_;
  Caller& caller_;
  Registry& registry_;
  const std::span<const std::string> containers_;
  const std::uintptr_t group_;
  std::optional<std::shared_ptr<Segment>> segment_;  ///< set once the segment was looked for
  std::optional<std::optional<std::string>> command_;
};

}  // namespace shmvisor
