// NamespaceOwner: the user namespace that owns an IPC namespace, and the rights that follow from
// it: cap_capable() of security/commoncap.c, asked from outside.
//
// A registry has the owner of the IPC namespace that it stands for, for good. The IPC namespace
// that the caller lives in does not count: any user who may create a user namespace can create an
// IPC namespace that it owns.
//
// The namespaces are kept as inode numbers. These stay valid while the IPC namespace lives, which
// keeps its owner, which keeps its ancestors. So the holder of a NamespaceOwner must keep the IPC
// namespace alive.
//
// Thread rule: a plain value.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "policy/base/unique_fd.h"

namespace shmvisor {

class NamespaceOwner {
 public:
  /// An owner that we cannot see: no process that we can see has a right that follows from it.
  NamespaceOwner() = default;
  /// `ipc`: an open file of /proc/PID/ns/ipc. We can see an owner that is our user namespace or one
  /// below it.
  static NamespaceOwner of(const UniqueFd& ipc);
  /// The user namespace itself: an open file of it.
  static NamespaceOwner of_user(const UniqueFd& user);
  /// The owner of our own IPC namespace; our user namespace on a kernel without IPC namespaces.
  static NamespaceOwner of_ours();

  /// Whether a thread has a capability there. It has the capability if its user namespace is the
  /// owner or an ancestor of the owner, and its effective set contains the capability. It also has
  /// every capability if it lives in the parent of one of those namespaces and created that
  /// namespace.
  /// `user_namespace`: the thread's, 0 where we may not look. `euid`: its effective uid.
  [[nodiscard]] bool grants(std::uint64_t user_namespace, bool has_effective, uid_t euid) const;

  /// The innermost user namespace that is at or above both.
  [[nodiscard]] NamespaceOwner innermost_above(const NamespaceOwner& other) const;

  /// How many user namespaces there are from the owner up to our own; 0 where it is not in sight.
  [[nodiscard]] std::size_t depth() const { return levels_.size(); }
  /// The user namespace at or above it that has that depth; itself where it has not more.
  [[nodiscard]] NamespaceOwner at_depth(std::size_t depth) const;

  [[nodiscard]] bool in_sight() const { return !levels_.empty(); }
  /// Precondition: in_sight().
  [[nodiscard]] std::uint64_t inode() const { return levels_.front().inode; }
  [[nodiscard]] uid_t creator() const { return levels_.front().creator; }

 private:
  /// `user`: an open file of a user namespace.
  static NamespaceOwner at_or_above(UniqueFd user);

  struct Level {
    std::uint64_t inode = 0;
    uid_t creator = 0;  ///< in terms of our user namespace
  };
  /// The owner, its parent, and so on up to our own user namespace.
  std::vector<Level> levels_;
};

/// What the kernel shows for an id that our user namespace does not map (fs.overflowuid).
constexpr uid_t kOverflowId = 65534;
/// Whether an id that the kernel shows as `id` is that one: outside of the first user namespace
/// kOverflowId may be anybody's.
[[nodiscard]] bool is_unambiguous(uid_t id);

/// Whether a thread with a capability has it over the machine, capable() of kernel/capability.c.
[[nodiscard]] bool is_first_user_namespace(std::uint64_t user_namespace);

}  // namespace shmvisor
