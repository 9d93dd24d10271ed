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
// Other processes may stop, trace or kill the witness, and it may get no CPU. So nothing here waits
// for it: it is asked, and its answer taken when that is there. A witness that is given up is
// dismissed, and another one may be started, a few times at most. The witness's end may come late:
// until gone() is true it shows as a child of ours.
//
// Errors: without a witness no signal counts as sent to the group. Ownership: the process.
// Thread rule: one thread, which must not end before the witness.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
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

  /// Readable when there is an answer, or none will come; -1 without a witness.
  [[nodiscard]] int fd() const { return socket_.get(); }
  /// Asks for the signals that it got since the last answer: each signal for the group that had
  /// reached us before is among them. False where no answer will come.
  [[nodiscard]] bool ask();
  enum class Answered : std::uint8_t { kNotYet, kAll, kNever };
  /// Adds what the answer names to `heard`. kAll: each of these signals that is for the group has
  /// reached us by now. kNotYet: there is no answer yet, or more is to come.
  [[nodiscard]] Answered take(std::vector<Heard>& heard);
  /// Whether it would answer, and only lacks a CPU, as far as we can see.
  [[nodiscard]] bool wants_cpu() const;
  /// After dismiss(): starts another one once the last is gone. False where there is none yet, or
  /// too many have failed.
  bool start_again();

  /// Ends the witness.
  void dismiss();
  /// Whether all dismissed and replaced witnesses are reaped. If not, ask again later.
  bool gone();

 private:
  /// One answer holds so many; a full one is followed by another.
  static constexpr std::size_t kMostInAnAnswer = 64;
  using Answer = std::array<Heard, kMostInAnAnswer>;

  static int stand_witness(void* socket);
  [[nodiscard]] bool send_question() const;
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
