// Reply: what a call answers. What the call changes has happened by then (carry_out()).
//
// Natively a call happens or does not, and a caller that is killed in the middle dies after it. So
// here: what a call changes is changed while its caller is known to be there (Caller::confirm()),
// and stays even if the caller is killed before it has the answer, the new segment of a shmget too.
//
// A caller may be left to find its result itself (MappingSpace::map()). What its call did is then
// done at once, and taken back if it calls again because it did not succeed.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "emulation/ipc/denial.h"
#include "policy/base/result.h"

namespace shmvisor {

class [[nodiscard]] Reply {
 public:
  Reply(std::int64_t value) : value_(value) {}                  // NOLINT: implicit
  Reply(Errno error) : value_(-std::int64_t{error.value()}) {}  // NOLINT: implicit
  Reply(Errno error, const Denial& denial) : Reply(error) { denial_ = denial; }

  /// The result is the caller's to find. `take_back` undoes what was done as if it had one.
  static Reply left_to_caller(std::function<void()> take_back) {
    Reply reply(0);
    reply.take_back_ = std::move(take_back);
    return reply;
  }

  /// The system call's result: a value, or an errno negated. Of no meaning when it is left.
  [[nodiscard]] std::int64_t value() const { return value_; }

  /// What denied it, where a limit or a right did and it was noted.
  [[nodiscard]] const Denial& denial() const { return denial_; }
  void explain(const Denial& denial) { denial_ = denial; }

  /// What is to be done if the same thread calls again to say that it did not find its result.
  /// Empty where the result was not left to it.
  [[nodiscard]] std::function<void()> undo() { return std::move(take_back_); }

 private:
  std::int64_t value_;
  Denial denial_;
  std::function<void()> take_back_;
};

}  // namespace shmvisor
