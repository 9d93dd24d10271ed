// Machine: the Host that this machine is. Memfds, inotify, the processes we serve, the clock.
//
// Thread rule: any thread.
#pragma once

#include "emulation/shm/host.h"
#include "supervisor/kernel/features.h"
#include "supervisor/memory/overcommit.h"
#include "supervisor/memory/release_watch.h"
#include "supervisor/process/census.h"
#include "supervisor/process/thread_identity.h"

namespace shmvisor {

class Machine : public Host {
 public:
  explicit Machine(KernelFeatures& features)
      : features_(features), census_(features), release_watch_(features) {}

  Result<std::uint64_t> huge_page_bytes(unsigned size_log2) override;
  gid_t hugetlb_shm_group() override;
  Result<std::unique_ptr<BackingMemory>> create_memory(const BackingRequest& request) override;
  std::vector<std::uint64_t> count_mappings(std::span<const FileIdentity> files) override {
    return census_.count_mappings(files);
  }
  bool thread_lives(const CreatorThread& thread) override {
    return shmvisor::thread_lives(thread.tid, thread.unique, features_);
  }
  /// Precondition of both: `memory` came from create_memory().
  void watch_release(const BackingMemory& memory) override;
  void unwatch_release(const BackingMemory& memory) override;
  std::vector<FileIdentity> take_released() override { return release_watch_.take(); }
  std::int64_t now_seconds() override;

  [[nodiscard]] const Census& census() const { return census_; }
  [[nodiscard]] ReleaseWatch& release_watch() { return release_watch_; }

 private:
  KernelFeatures& features_;
  Census census_;
  Overcommit overcommit_;
  ReleaseWatch release_watch_;
};

}  // namespace shmvisor
