// LastCloses: files whose last close(2) may take for ever. A ClosingProcess closes some of them at
// a time. Strangers' files come here by a StrangersFile.
//
// A user may keep kMostOfOne such processes, and no more than are free. Its other files wait, open,
// within its share of our descriptors (DescriptorShare). Files that nobody's share counts wait,
// too; code that takes further ones in asks unpaid() before.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>

#include "policy/base/mutex.h"
#include "policy/base/unique_fd.h"
#include "supervisor/resources/descriptor_share.h"
#include "supervisor/tasks/closing_process.h"

namespace shmvisor {

class LastCloses {
 public:
  static constexpr int kMostProcesses = 32;
  static constexpr int kMostOfOne = 2;
  static constexpr std::size_t kMostAtEnd = 256;
  /// That wait without a share; and the most, about, of those that do.
  static constexpr std::size_t kMostUnpaid = 64;

  static constexpr uid_t kOfNobody = ~uid_t{0};

  struct File {
    UniqueFd fd;
    uid_t payer = kOfNobody;
    DescriptorShare::Part part;
    bool is_paid = false;  ///< `part` counts it
  };
  /// Moved from list to list without memory.
  using Files = std::list<File>;

  /// The process's only ones, never destroyed: a child may keep its thread for ever.
  static LastCloses& all();

  /// `file`: one. Needs no memory.
  void add(Files& file) noexcept;
  /// Files that wait, and that no share counts.
  [[nodiscard]] std::size_t unpaid() const;
  /// Gives back what was taken of shares, which may end now. What waits is unpaid from here on.
  void forget_shares();
  /// Whether nothing waits any more; a child may still be closing.
  [[nodiscard]] bool wait_until_taken(std::chrono::milliseconds bound);
  /// Before our own end, which would wait for what is open still: from here on children close what
  /// comes, whoever had it, as many as it takes. The callers of a listener wait until it is closed.
  /// So where there are up to kMostAtEnd files each has a child of its own, and no close waits for
  /// another.
  void begin_end();
  /// begin_end(), and wait_until_taken().
  bool hand_over_all(std::chrono::milliseconds bound);

 private:
  struct Child {
    std::unique_ptr<ClosingProcess> process;
    uid_t payer = 0;
    bool is_killed = false;
  };

  LastCloses() = default;
  static void* work_on(void* self);
  void work() noexcept;
  /// Files of one user who may keep another process; none where there is no such user.
  Files take_batch() REQUIRES(mutex_);
  [[nodiscard]] bool may_begin(uid_t payer) const REQUIRES(mutex_);
  /// False where no child has them: they are still ours then.
  bool close(Files& batch);
  void look_at_children();
  [[nodiscard]] std::chrono::milliseconds pause() const;

  mutable Mutex mutex_;
  Condition changed_;
  Files waiting_ GUARDED_BY(mutex_);
  std::size_t unpaid_ GUARDED_BY(mutex_) = 0;
  bool works_ GUARDED_BY(mutex_) = false;       ///< there is a thread
  bool closes_ GUARDED_BY(mutex_) = false;      ///< which has taken a batch
  bool has_shares_ GUARDED_BY(mutex_) = false;  ///< of users, for the batch
  bool ends_ GUARDED_BY(mutex_) = false;        ///< no user has a share any more
  std::list<Child> children_;                   ///< the working thread's
};

}  // namespace shmvisor
