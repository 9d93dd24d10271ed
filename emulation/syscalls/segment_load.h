// SegmentLoad: a segment that an operator makes and fills, and that nobody sees before it is full.
//
// It keeps to the limits of newseg(), when it begins and when it is inserted; in between it counts
// against none of them, since a program's shmget shall not fail because of a load that may never
// end. What was begun and not inserted goes with this object; its pages are freed in another
// thread.
//
// Errors: those of shmget(2): EINVAL and ENOSPC by a limit, ENOMEM; EEXIST where the key is taken.
// Ownership: shares the registry. Thread rule: one thread at a time; no lock may be held.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>

#include "emulation/ipc/denial.h"
#include "emulation/shm/registry.h"
#include "policy/base/result.h"

namespace shmvisor {

class SegmentLoad {
 public:
  struct Wanted {
    key_t key = abi::kIpcPrivate;
    std::uint64_t size_bytes = 0;
    mode_t mode = 0;
    uid_t uid = 0;  ///< owner, creator, and whom it is charged to
    gid_t gid = 0;
    PidRecord maker;  ///< shm_cpid
    CreatorThread creator;
  };

  /// `denial`: which limit refused it, where one did.
  static Result<std::unique_ptr<SegmentLoad>> begin(std::shared_ptr<Registry> registry,
                                                    const Wanted& wanted, Denial& denial);
  SegmentLoad(const SegmentLoad&) = delete;
  SegmentLoad& operator=(const SegmentLoad&) = delete;
  ~SegmentLoad();

  /// To be filled. Precondition: it is not inserted.
  [[nodiscard]] BackingMemory& memory() const { return *memory_; }
  /// From now on it is a segment like any other: its identifier. Once; may throw std::bad_alloc,
  /// and is lost then.
  Result<int> insert(Denial& denial);

 private:
  SegmentLoad(std::shared_ptr<Registry> registry, const Wanted& wanted,
              std::unique_ptr<BackingMemory> memory)
      : registry_(std::move(registry)), wanted_(wanted), memory_(std::move(memory)) {}

  static Result<void> check(const Wanted& wanted, const RegistryState& state, Denial& denial);

  const std::shared_ptr<Registry> registry_;
  const Wanted wanted_;
  std::unique_ptr<BackingMemory> memory_;  ///< null once it is inserted
};

}  // namespace shmvisor
