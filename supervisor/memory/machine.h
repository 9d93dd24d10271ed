// Machine: implements Host for one set of processes, by memfds, inotify, the processes that we
// serve and the clock.
//
// Ownership: borrows its resources and its scope. Thread rule: any thread.
#pragma once

#include "emulation/shm/host.h"
#include "supervisor/attaches/attach_counter.h"
#include "supervisor/credentials/thread_identity.h"
#include "supervisor/kernel/features.h"
#include "supervisor/memory/lock_keeper.h"
#include "supervisor/memory/overcommit.h"
#include "supervisor/memory/release_watch.h"
#include "supervisor/resources/descriptor_share.h"
#include "supervisor/tasks/run_aside.h"

namespace shmvisor {

/// Resources that cost descriptors and can serve any number of machines.
struct MachineResources {
  explicit MachineResources(KernelFeatures& known_features);

  KernelFeatures& features;
  Overcommit overcommit;
  ReleaseEvents release_events;
  LockKeeper lock_keeper;
  /// Kept open: it is a sysctl, which may be needed when no descriptor is free.
  UniqueFd hugetlb_group_file;
};

class Machine : public Host {
 public:
  /// `descriptor_share`: of these processes, borrowed; null where descriptors are not counted.
  Machine(MachineResources& resources, const ProcessScope& scope,
          DescriptorShare* descriptor_share = nullptr)
      : features_(resources.features),
        descriptor_share_(descriptor_share),
        overcommit_(resources.overcommit),
        lock_keeper_(resources.lock_keeper),
        hugetlb_group_file_(resources.hugetlb_group_file),
        attach_counter_(resources.features, scope),
        release_watch_(resources.release_events) {}

  Result<std::uint64_t> huge_page_bytes(unsigned size_log2) override;
  gid_t hugetlb_shm_group() override;
  using Host::create_memory;
  Result<std::unique_ptr<BackingMemory>> create_memory(const BackingRequest& request,
                                                       Denial& denial) override;
  /// The memory of a segment that another process made with create_memory(), and that this one has
  /// the descriptor of. It is not refused for want of what it is charged to. ENOENT where the
  /// descriptor leads elsewhere, and is as it was.
  Result<std::unique_ptr<BackingMemory>> adopt_memory(int fd, const FileIdentity& identity,
                                                      const BackingRequest& request);
  Result<MappingCounts> count_mappings(std::span<const FileIdentity> files,
                                       pid_t waiting) override {
    return attach_counter_.count_mappings(files, waiting);
  }
  std::optional<std::uint64_t> count_at_once(const FileIdentity& file, pid_t waiting) override {
    return attach_counter_.count_at_once(file, waiting);
  }
  bool counting_takes_long() override { return attach_counter_.takes_long(); }
  void note_attach(const PidRecord& process, const BackingMemory& memory) noexcept override;
  bool thread_lives(const CreatorThread& thread) override {
    return shmvisor::thread_lives(thread.tid, thread.unique, features_);
  }
  /// Precondition of both: `memory` came from create_memory().
  void watch_release(const BackingMemory& memory) override;
  void unwatch_release(const BackingMemory& memory) override;
  std::vector<FileIdentity> take_released(std::size_t most) override {
    return release_watch_.take(most);
  }
  void free_aside(uid_t account, std::function<void()> free) override;
  std::int64_t now_seconds() override;

  [[nodiscard]] ReleaseWatch& release_watch() { return release_watch_; }

 private:
  KernelFeatures& features_;
  DescriptorShare* const descriptor_share_;
  const Overcommit& overcommit_;
  LockKeeper& lock_keeper_;
  const UniqueFd& hugetlb_group_file_;
  AttachCounter attach_counter_;
  ReleaseWatch release_watch_;
};

}  // namespace shmvisor
