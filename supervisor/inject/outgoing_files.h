// OutgoingFiles: descriptions that are being handed to callers as the answers to their calls.
//
// The caller has its descriptor and runs on a moment before the thread that answered it has closed
// its own, which counts as a mapping does (BackingMemory::in_use()). A caller that calls again then
// could find in use what it has just let go of. So its next call that may ask for that is not
// served before: any but an attach, and a detach that it completes by itself.
//
// Nobody is waited for but a thread of ours that is about to close a file: a caller that calls
// again has taken its answer, or lost it. Callers are known by ThreadIdentity::unique().
//
// Thread rule: any thread; wait_for() without a lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "policy/base/mutex.h"

namespace shmvisor {

class OutgoingFiles {
 public:
  static OutgoingFiles& all();

  /// From before the answer until the file was closed.
  class Stay {
   public:
    explicit Stay(std::uint64_t caller) : caller_(caller) { all().enter(caller_); }
    Stay(const Stay&) = delete;
    Stay& operator=(const Stay&) = delete;
    ~Stay() { all().leave(caller_); }

   private:
    const std::uint64_t caller_;
  };

  /// Returns once nothing is on its way to `caller`, which has called again.
  void wait_for(std::uint64_t caller);

 private:
  OutgoingFiles() = default;

  void enter(std::uint64_t caller) noexcept;
  void leave(std::uint64_t caller) noexcept;

  std::atomic<std::size_t> count_{0};  ///< of callers_
  Mutex mutex_;
  Condition left_;
  std::vector<std::uint64_t> callers_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
