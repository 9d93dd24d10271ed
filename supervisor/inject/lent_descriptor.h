// LentDescriptor: an open file description of ours that a caller has in its descriptor table for a
// moment, so that the caller can map the file.
//
// A number in somebody else's table is not ours. Another thread of the caller may close that
// number, by closing a descriptor of its own twice say, and a third thread may open a file there.
// So
// - the number is a high and free one, because open(2) takes the lowest that is free. The table has
//   room for the number already, since a table that grew stays so;
// - the description carries a mark: its file position, which nothing else looks at. A descriptor
//   that is at that position *after* mmap(2) was ours when mmap(2) was called: once gone, it does
//   not come back.
// A number that is taken between our look and the kernel's putting our descriptor there loses the
// file that it had. Only dup2(2) of the caller's, in these microseconds, can take it.
//
// Ownership: borrows the description. Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "policy/base/result.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

class LentDescriptor {
 public:
  /// Marks the description, which is lent by this object alone.
  explicit LentDescriptor(int fd);

  [[nodiscard]] int fd() const { return fd_; }
  /// The position. Neither 0 nor an errno negated; no other description has the same.
  [[nodiscard]] std::uint64_t mark() const { return mark_; }

  /// Puts the descriptor into the table of the thread `tid`, which waits in the call `id`, and
  /// returns its number there. Errors: EMFILE where the table is full, ENOENT where the thread
  /// waits no longer.
  Result<int> lend(Listener& listener, std::uint64_t id, pid_t tid) const;
  /// The same, and answers the call with the number: in one step, where the kernel can.
  Result<int> lend_as_answer(Listener& listener, std::uint64_t id, pid_t tid) const;
  /// Whether the thread's table has the descriptor as `number`. Nothing where we cannot tell.
  [[nodiscard]] std::optional<bool> is_at(pid_t tid, int number) const;
  /// The numbers in the thread's table whose position is `ours`.
  [[nodiscard]] static std::vector<int> find(pid_t tid,
                                             const std::function<bool(std::uint64_t)>& ours);
  /// The same, with some patience where we cannot tell, for want of descriptors of ours say. Where
  /// the answer is not yes, the number may be anybody's, and is not ours to close.
  [[nodiscard]] std::optional<bool> identify(pid_t tid, int number) const;

 private:
  /// How the kernel is asked to put the descriptor there with a number of our choice.
  using Add = Result<int> (Listener::*)(std::uint64_t id, int fd, int number);
  [[nodiscard]] std::optional<Result<int>> lend_as(Add add, int highest, Listener& listener,
                                                   std::uint64_t id, pid_t tid) const;
  [[nodiscard]] std::optional<Result<int>> lend_high(Add add, Listener& listener, std::uint64_t id,
                                                     pid_t tid) const;

  int fd_;
  std::uint64_t mark_;
};

}  // namespace shmvisor
