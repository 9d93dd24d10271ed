// CountedSpaces: the address spaces that a look at processes has counted, so that one which several
// processes share (vfork(2), clone(2) with CLONE_VM) is counted once.
//
// kcmp(2) tells whether two processes share theirs. Processes that a look has found to have
// different ones (DistinctProcesses) are not compared again: an address space is shared only with
// processes that are made later, and an exec begins a new one. So looks at the same processes
// compare nothing, and a new process is compared with about as many as the logarithm of their
// number, after each of these was compared with its neighbour. Where kcmp is forbidden, a process
// that waits for its vfork child is recognised by what both show in /proc.
//
// Thread rule: one thread at a time; place_of() only reads, also while another thread copies.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "supervisor/kernel/features.h"

namespace shmvisor {

/// Processes of which no two share an address space, as long as they live.
struct DistinctProcesses {
  struct Member {
    std::uint64_t inode = 0;  ///< of /proc/PID/maps: no later process with that pid has it
    std::size_t rank = 0;     ///< in the order of kcmp(2); another one after an exec
  };
  std::unordered_map<pid_t, Member> members;

  [[nodiscard]] bool has(pid_t pid, std::uint64_t inode) const {
    const auto found = members.find(pid);
    return found != members.end() && found->second.inode == inode;
  }
};

class CountedSpaces {
 public:
  /// The addresses at which one process maps each of some files.
  struct Space {
    pid_t pid = 0;
    std::uint64_t inode = 0;  ///< of its /proc/PID/maps
    std::vector<std::vector<std::uint64_t>> starts;
  };
  struct Order {
    std::vector<std::size_t> spaces;  ///< indices, in the order of kcmp(2)
    bool proven = true;               ///< no process ended before it was compared
  };

  /// `distinct`: null where nothing is known.
  CountedSpaces(KernelFeatures features, std::shared_ptr<const DistinctProcesses> distinct)
      : features_(std::move(features)), distinct_(std::move(distinct)) {}

  /// The order that add() takes; nothing where the address space is counted already.
  [[nodiscard]] std::optional<Order> place_of(const Space& space);
  /// Ownership: takes the space.
  void add(Space space, Order order);

  /// All that are counted; null where that is known of them already, or cannot be told.
  [[nodiscard]] std::shared_ptr<const DistinctProcesses> newly_distinct() const;
  /// Whether no two of all that were asked for share an address space.
  [[nodiscard]] bool none_shared() const { return !any_shared_ && order_.proven && kcmp_usable(); }

 private:
  [[nodiscard]] const DistinctProcesses::Member* member(const Space& space) const;
  [[nodiscard]] bool kcmp_usable() const { return features_.usable(KernelFeature::kKcmp); }
  /// All spaces in order.
  [[nodiscard]] Order full_order();
  /// Adds it, which is `index`. False where it is one of these.
  bool insert(const Space& space, std::size_t index, Order& order);

  KernelFeatures features_;  ///< a copy: a lost thread may outlive the others' owner
  std::shared_ptr<const DistinctProcesses> distinct_;
  std::vector<Space> spaces_;
  bool any_shared_ = false;
  Order order_;  ///< of all, or of none where all are members of distinct_
};

}  // namespace shmvisor
