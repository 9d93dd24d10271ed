// KnownCovers: the IPC namespaces that are covered (SysctlCovers) in a mount namespace, so that a
// thread that goes to one of them again needs no child process.
//
// A namespace is known by the number that the kernel gives to no other one (NS_GET_ID, Linux 6.18):
// inodes of namespaces come again at once. Where the kernel has no such numbers nothing is known.
//
// A cover that somebody unmounts who may is taken for there still, as those of the first IPC
// namespace are. Bound: kMost are remembered, the oldest are forgotten first. Thread rule: any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "policy/base/mutex.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

class KnownCovers {
 public:
  static constexpr std::size_t kMost = 1024;

  struct Place {
    std::uint64_t mounts = 0;
    std::uint64_t ipc = 0;
    bool operator==(const Place&) const = default;
  };
  /// Of two open namespaces. Nothing where the kernel cannot tell.
  [[nodiscard]] static std::optional<Place> place_of(const UniqueFd& mounts, const UniqueFd& ipc);

  [[nodiscard]] bool has(const Place& place) const;
  void add(const Place& place);

 private:
  mutable Mutex mutex_;
  std::deque<Place> covered_ GUARDED_BY(mutex_);  ///< oldest first
};

}  // namespace shmvisor
