// LentDescriptor: an open file description of ours that a caller has in its descriptor table for a
// moment, so that it can map it.
//
// A number in somebody else's table is not ours. Another thread of the caller may close it, by
// closing one of its own twice say, and a third open a file there. So
// - the number is a high one that nobody has, because open(2) takes the lowest that is free; and
//   one that the table has room for already, since a table that grew stays so;
// - the description carries a mark: its file position, which nothing else looks at. A descriptor
//   that is at that position *after* mmap(2) was ours when that was called: once gone, it does not
//   come back.
// A number that is taken between our look and the kernel's putting ours there loses what it was;
// it would have to be dup2(2)'s argument in these microseconds.
//
// Ownership: borrows the description. Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "policy/base/result.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

class LentDescriptor {
 public:
  /// Marks the description, which nobody else may lend.
  explicit LentDescriptor(int fd);

  [[nodiscard]] int fd() const { return fd_; }
  /// The position. Neither 0 nor an errno negated; no other description has the same.
  [[nodiscard]] std::uint64_t mark() const { return mark_; }

  /// Puts it into the table of `tid`, which waits in the call `id`. The number. Errors: EMFILE
  /// where its table is full, ENOENT where it waits no longer.
  Result<int> lend(Listener& listener, std::uint64_t id, pid_t tid) const;
  /// The same, and answers the call with the number: in one step, where the kernel can.
  Result<int> lend_as_answer(Listener& listener, std::uint64_t id, pid_t tid) const;
  /// Whether it is there as `number`. Nothing where we cannot tell.
  [[nodiscard]] std::optional<bool> is_at(pid_t tid, int number) const;
  /// The same, with some patience where we cannot tell, for want of descriptors of ours say. What
  /// is not told to be ours after that may be anybody's, and is not ours to close.
  [[nodiscard]] std::optional<bool> identify(pid_t tid, int number) const;

 private:
  /// How the kernel is asked to put it there as a number.
  using Add = Result<int> (Listener::*)(std::uint64_t id, int fd, int number);
  [[nodiscard]] std::optional<Result<int>> lend_as(Add add, int highest, Listener& listener,
                                                   std::uint64_t id, pid_t tid) const;
  [[nodiscard]] std::optional<Result<int>> lend_high(Add add, Listener& listener, std::uint64_t id,
                                                     pid_t tid) const;

  int fd_;
  std::uint64_t mark_;
};

}  // namespace shmvisor
