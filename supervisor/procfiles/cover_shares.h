// CoverShares: how many IPC namespaces we cover (SysctlCovers) for each user in one mount
// namespace.
//
// A cover adds mounts to the mount namespace that a process lives in, which may be one where its
// user could mount nothing: whoever may make a user namespace may make IPC namespaces by the
// thousand. The kernel bounds the mounts of a mount namespace (fs.mount-max), and lookups and
// mountinfo take longer with each. So users other than root and our own have kMostOfUser live
// covers each in a mount namespace, and that mount namespace has kMostForOthers when they get
// another. The second bound is by a count of what is mounted, and holds also where a user's covers
// were forgotten here.
//
// The kernel unmounts a cover when its IPC namespace ends, and nobody is told. So a user's covers
// are looked for again only when another is wanted: Bounds::may_add() gets what the look found.
//
// Covers that are being made at the same time are not counted yet: there may be a few more.
//
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "policy/base/mutex.h"

namespace shmvisor {

class CoverShares {
 public:
  using Clock = std::chrono::steady_clock;

  /// Nested runtimes have some tens at a time, most of them in mount namespaces of their own.
  static constexpr std::size_t kMostOfUser = 64;
  static constexpr std::size_t kMostForOthers = 512;
  /// Also for root and our own user, who may mount without us.
  static constexpr std::size_t kMost = 1024;
  /// A user who was refused is refused without a look for so long.
  static constexpr std::chrono::milliseconds kRefusedFor{200};
  /// Covers that are remembered, of all users and mount namespaces. Those of mount namespaces that
  /// ended are among them. The oldest are forgotten first.
  static constexpr std::size_t kMostRemembered = 4096;

  CoverShares();

  /// The inode of the mount namespace, and the user of accountable_user.h.
  struct Account {
    std::uint64_t mounts = 0;
    uid_t user = 0;
    bool operator==(const Account&) const = default;
  };

  /// What to look for: each of the account's covers, by the id of one of its mounts. Nothing where
  /// the user was refused a moment ago.
  [[nodiscard]] std::optional<std::vector<long>> ask(const Account& account,
                                                     Clock::time_point now = Clock::now()) const;
  /// Of an account. A plain value: for a child process.
  struct Bounds {
    bool has_own = true;  ///< it is neither root's nor our own user's

    /// Whether there may be one more, where `alive` of those that were asked for are there still,
    /// and `in_all` covers in the mount namespace.
    [[nodiscard]] bool may_add(std::size_t alive, std::size_t in_all) const {
      if (!has_own) return in_all < kMost;
      return alive < kMostOfUser && in_all < kMostForOthers;
    }
  };
  [[nodiscard]] Bounds bounds_of(const Account& account) const {
    return {is_bounded(account.user)};
  }

  /// The cover of that mount is gone.
  void gone(const Account& account, long mount);
  /// `mounts`: the ids of all mounts of a new cover. Whatever had one of these ids is gone.
  void added(const Account& account, std::span<const long> mounts);
  void refused(const Account& account, Clock::time_point now = Clock::now());

 private:
  struct Cover {
    Account account;
    long mount = 0;
  };
  struct Refusal {
    Account account;
    Clock::time_point at;
  };
  static constexpr std::size_t kMostRefusals = 64;

  [[nodiscard]] bool is_bounded(uid_t user) const { return user != 0 && user != our_user_; }

  const uid_t our_user_;
  mutable Mutex mutex_;
  std::deque<Cover> covers_ GUARDED_BY(mutex_);  ///< oldest first, of bounded users only
  std::deque<Refusal> refusals_ GUARDED_BY(mutex_);
};

}  // namespace shmvisor
