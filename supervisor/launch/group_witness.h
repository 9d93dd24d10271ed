// GroupWitness: tells which signals were sent to our whole process group.
//
// A signal for the group (kill(2) with a negative pid or 0, as tini -g, dumb-init, timeout(1) and
// shells send it) reaches the command by itself, and would come twice if it were passed on; one for
// shmvisor alone has to be passed on. siginfo does not tell them apart. So a process of ours stands
// in the same group: a signal that both got, of the same kind and from the same sender, was for
// all. What the witness got alone (kill -1 inside of a container whose init we
// are, a service manager that signals each process by its pid) has no counterpart, and counts for
// nothing.
//
// The witness blocks all signals and sits in a read until it is asked; it shares our memory, has no
// descriptors but its socket, and ends when we do. It sends no SIGCHLD, and wait(2) without __WALL
// does not see it.
//
// Other processes may stop, trace or kill the witness: it is asked within a bound. A witness that
// does not answer is replaced, a few times at most. Its end may come late, since a tracer may delay
// it, or it gets no CPU: until gone() is true it shows as a child of ours.
//
// Errors: without a witness no signal counts as sent to the group. Ownership: the process.
// Thread rule: one thread, which must not end before the witness.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include "policy/base/unique_fd.h"

namespace shmvisor {

class GroupWitness {
 public:
  /// One signal, by its siginfo.
  struct Heard {
    int number = 0;
    int code = 0;
    pid_t pid = 0;
    uid_t uid = 0;

    friend bool operator==(const Heard&, const Heard&) = default;
  };

  GroupWitness() { start(); }
  GroupWitness(const GroupWitness&) = delete;
  GroupWitness& operator=(const GroupWitness&) = delete;
  /// Waits for the witness's end, but not for long.
  ~GroupWitness();

  /// The signals that the witness got since the last call. Each signal for the group that had
  /// reached us before this call is among them, and each of them that is for the group has reached
  /// us on return.
  std::vector<Heard> ask();

  /// Ends the witness.
  void dismiss();
  /// Whether all dismissed and replaced witnesses are reaped. If not, ask again later.
  bool gone();

 private:
  /// One answer holds so many; a full one is followed by another.
  static constexpr std::size_t kMostInAnAnswer = 64;
  using Answer = std::array<Heard, kMostInAnAnswer>;

  static int stand_witness(void* socket);
  /// Nothing where the witness does not answer.
  std::optional<Answer> ask_once();
  [[nodiscard]] bool wait_for_answer() const;
  void start();
  /// Waits for a moment.
  void wait_until_gone();

  static constexpr int kMostFailures = 5;

  pid_t pid_ = -1;
  UniqueFd socket_;
  int failures_ = 0;
  /// Witnesses that are killed and not reaped yet; 0: none.
  std::array<pid_t, kMostFailures + 1> ending_{};
};

}  // namespace shmvisor
