// Reply: what a call answers. What the call changes has happened by then (carry_out()).
//
// Natively a call happens or does not, and a caller that is killed in the middle dies after it. So
// here: what a call changes is changed while its caller is known to be there (Caller::confirm()),
// and stays even if the caller is killed before it has the answer, the new segment of a shmget too.
//
// A caller may complete its call by itself, after the answer (MappingSpace::map()). What the call
// changes is changed at once, and undone if the caller calls again because it did not succeed.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "emulation/ipc/denial.h"
#include "emulation/syscalls/shmctl_contents.h"
#include "policy/base/result.h"

namespace shmvisor {

class [[nodiscard]] Reply {
 public:
  Reply(std::int64_t value) : value_(value) {}                  // NOLINT: implicit
  Reply(Errno error) : value_(-std::int64_t{error.value()}) {}  // NOLINT: implicit
  Reply(Errno error, const Denial& denial) : Reply(error) { denial_ = denial; }

  /// The caller completes the call and finds the result. `undo` undoes what the call changed.
  static Reply completed_by_caller(std::function<void()> undo) {
    Reply reply(0);
    reply.undo_ = std::move(undo);
    return reply;
  }

  /// The system call's result: a value, or an errno negated. Of no meaning where the caller
  /// completes the call.
  [[nodiscard]] std::int64_t value() const { return value_; }

  /// What denied it, where a limit or a right did and it was noted.
  [[nodiscard]] const Denial& denial() const { return denial_; }
  void explain(const Denial& denial) { denial_ = denial; }

  /// For who observes calls: the segment that the call concerned, -1 where that is not known; and
  /// whether the registry was changed.
  [[nodiscard]] int shmid() const { return shmid_; }
  [[nodiscard]] bool changed() const { return changed_; }
  [[nodiscard]] const ShmctlContents& contents() const { return contents_; }
  void note_contents(const ShmctlContents& contents) { contents_ = contents; }
  void note_segment(int shmid) { shmid_ = shmid; }
  void note_change() { changed_ = true; }

  /// To be run if the same thread calls again to say that it could not complete its call. Empty
  /// where the call is complete.
  [[nodiscard]] std::function<void()> undo() { return std::move(undo_); }

 private:
  std::int64_t value_;
  Denial denial_;
  int shmid_ = -1;
  bool changed_ = false;
  ShmctlContents contents_;
  std::function<void()> undo_;
};

}  // namespace shmvisor
