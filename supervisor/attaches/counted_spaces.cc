#include "supervisor/attaches/counted_spaces.h"

#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <numeric>
#include <utility>

#include "policy/base/held_locks.h"
#include "policy/base/result.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/procfs/process_stat.h"

namespace shmvisor {
namespace {

/// kcmp(2), which takes ptrace rights over both. 0: the same; 1: before; 2: behind, in an order of
/// the kernel's own, which stays.
Result<long> compare_memory(pid_t one, pid_t other) {
  HeldLocks::assert_may_wait();
  return with_identity_of(one, kToTrace, [&]() -> Result<long> {
    const long order = ::syscall(SYS_kcmp, one, other, KCMP_VM, 0, 0);
    return order < 0 ? Result<long>(Errno::current()) : order;
  });
}

/// Without kcmp: the parent of a vfork child waits uninterruptibly until that has its own address
/// space.
bool vfork_pair(pid_t one, pid_t other) {
  const auto first = ProcessStat::read(one);
  const auto second = ProcessStat::read(other);
  if (!first || !second || first->memory != second->memory) return false;
  return (first->ppid == other && second->state == 'D') ||
         (second->ppid == one && first->state == 'D');
}

}  // namespace

const DistinctProcesses::Member* CountedSpaces::member(const Space& space) const {
  if (!distinct_ || space.inode == 0) return nullptr;
  const auto found = distinct_->members.find(space.pid);
  return found != distinct_->members.end() && found->second.inode == space.inode ? &found->second
                                                                                 : nullptr;
}

bool CountedSpaces::insert(const Space& space, std::size_t index, Order& order) {
  std::size_t low = 0;
  std::size_t high = order.spaces.size();
  while (low < high && kcmp_usable()) {
    const std::size_t middle = low + (high - low) / 2;
    const Result<long> compared = compare_memory(space.pid, spaces_[order.spaces[middle]].pid);
    if (compared && *compared == 0) return false;
    if (!compared && compared.error() == Errno(ESRCH)) {
      order.proven = false;
      low = high = order.spaces.size();
    } else if (!compared) {
      features_.mark_absent(KernelFeature::kKcmp);
    } else if (*compared == 1) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  order.spaces.insert(order.spaces.begin() + static_cast<std::ptrdiff_t>(low), index);
  return true;
}

CountedSpaces::Order CountedSpaces::full_order() {
  if (order_.spaces.size() == spaces_.size()) return order_;
  // All are members, whose order was known. Those that made an exec since have another place now.
  std::vector<std::size_t> by_rank(spaces_.size());
  std::iota(by_rank.begin(), by_rank.end(), std::size_t{0});
  std::ranges::sort(by_rank, std::less<>(),
                    [this](std::size_t index) { return member(spaces_[index])->rank; });
  Order order;
  std::vector<std::size_t> moved;
  for (const std::size_t index : by_rank) {
    const bool in_place = order.spaces.empty() || [&] {
      const auto compared = compare_memory(spaces_[index].pid, spaces_[order.spaces.back()].pid);
      return compared && *compared == 2;
    }();
    (in_place ? order.spaces : moved).push_back(index);
  }
  for (const std::size_t index : moved) insert(spaces_[index], index, order);
  return order;
}

std::optional<CountedSpaces::Order> CountedSpaces::place_of(const Space& space) {
  if (order_.spaces.empty() && member(space) != nullptr) return Order();
  Order order = full_order();
  if (!insert(space, spaces_.size(), order)) {
    any_shared_ = true;
    return std::nullopt;
  }
  if (kcmp_usable()) return order;
  const bool seen = std::ranges::any_of(spaces_, [&](const Space& other) {
    return other.starts == space.starts && vfork_pair(space.pid, other.pid);
  });
  return seen ? std::nullopt : std::optional(std::move(order));
}

void CountedSpaces::add(Space space, Order order) {
  spaces_.push_back(std::move(space));
  order_ = std::move(order);
}

std::shared_ptr<const DistinctProcesses> CountedSpaces::newly_distinct() const {
  if (order_.spaces.empty() || !order_.proven || !kcmp_usable()) return nullptr;
  auto distinct = std::make_shared<DistinctProcesses>();
  for (std::size_t rank = 0; rank < order_.spaces.size(); ++rank) {
    const Space& space = spaces_[order_.spaces[rank]];
    if (space.inode != 0) distinct->members.insert({space.pid, {space.inode, rank}});
  }
  return distinct;
}

}  // namespace shmvisor
