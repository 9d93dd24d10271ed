// GroupSignals: hands over the signals that we got, in their order, each with whether it was for
// our whole process group (GroupWitness).
//
// A signal waits for the witness's answer, for kPatience if the witness is stopped or traced, and
// for longer where it only lacks a CPU: without the answer a signal for the group counts as one for
// us alone. The loop goes on meanwhile. A witness that does not answer is replaced, a few times.
//
// Errors: what there is no memory for counts as not for the group, or is left out, with a line in
// the log. Ownership: the witness; borrows the loop. Thread rule: the thread of the loop.
#pragma once

#include <sys/signalfd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "supervisor/launch/group_witness.h"
#include "supervisor/loop/event_loop.h"

namespace shmvisor {

class GroupSignals {
 public:
  static constexpr std::chrono::milliseconds kPatience{100};
  /// Signals that wait, and those that may be added at once. Whoever reads more of them waits too.
  static constexpr std::size_t kMostWaiting = 128;
  static constexpr std::size_t kAtOnce = 16;

  using Deliver = std::function<void(const signalfd_siginfo& info, bool to_group)>;

  /// `answered`: called when signals have been handed over after an answer, and more may be there.
  GroupSignals(EventLoop& loop, Deliver deliver, std::function<void()> answered);

  [[nodiscard]] int witness_fd() const { return witness_ == nullptr ? -1 : witness_->fd(); }
  /// Without one no signal is for the group.
  void use(std::unique_ptr<GroupWitness> witness);
  /// Precondition: not full(), not counting those that are added at once.
  void add(const signalfd_siginfo& info);
  /// Whether there may be no room for kAtOnce.
  [[nodiscard]] bool full() const { return waiting_.size() + kAtOnce > kMostWaiting; }
  /// All signals that had reached us were added.
  void all_added();
  /// Ends the witness, once it has answered what it was asked, or has not in time.
  void dismiss_witness();
  /// Hands over all that waits, and ends the witness at once: this program is about to end.
  void leave();

 private:
  void ask();
  void hear();
  void see_silence();
  /// The first `count` of those that wait.
  void hand_over(std::size_t count);
  void give_up();
  void replace_witness();
  void watch_witness();
  bool was_for_group(const signalfd_siginfo& info);

  EventLoop& loop_;
  const Deliver deliver_;
  const std::function<void()> answered_;
  std::unique_ptr<GroupWitness> witness_;
  std::vector<signalfd_siginfo> waiting_;
  std::size_t asked_for_ = 0;  ///< how many of these the question is about; 0: there is none
  int silences_ = 0;           ///< times that the answer did not come in kPatience
  /// Signals for the group that the witness reported, and that we have not handed over yet.
  std::vector<GroupWitness::Heard> for_group_;
  bool dismissed_ = false;
  EventLoop::Source answer_came_;
  EventLoop::Timer silent_;
  /// While a witness that was dismissed is not gone.
  EventLoop::Timer again_;
};

}  // namespace shmvisor
