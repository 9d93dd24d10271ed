// RunConnection: a client's connection to the control socket of a run (supervisor/control).
//
// The other end is root's or of our own user; for root it may be anybody's whose socket root has
// named. It is not believed: lines are bounded, each wait has a bound, a member that is missing or
// of another type is an error, and what is shown of it is printable.
//
// Errors: a Problem is a sentence for the operator. Ownership: owns the socket. Thread rule: one
// thread.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/control/protocol.h"

namespace shmvisor::client {

using control::Json;

struct Problem {
  std::string text;
  bool has_ended = false;  ///< nobody listens there, or nobody does any more
  bool is_busy = false;    ///< as many clients as may be wait to be heard
  bool refused = false;    ///< the run answered, and may be asked for more
  std::string code = {};   ///< of that refusal, PROTOCOL.md
};

class RunConnection {
 public:
  /// What a run says of itself.
  struct Hello {
    std::string version;
    std::string kind;  ///< "run" or "agent"
    std::string name;  ///< empty: none
    pid_t pid = 0;
    std::uint64_t pid_namespace = 0;  ///< 0: not told
    pid_t server = 0;                 ///< of the process that serves; 0: not told
    bool lists_all_segments = false;  ///< those of all registries can be asked for at once
    std::uint64_t upgrades = 0;       ///< how often another program has taken over
    std::uint64_t refused_upgrades = 0;

    /// Whether its pids mean the same processes here; also where that is not told.
    [[nodiscard]] bool has_our_pids() const;
    /// For a list of runs.
    [[nodiscard]] std::string title() const;
    /// In a sentence: "the run web (pid 5)", "the agent node (pid 7)".
    [[nodiscard]] std::string called() const;
  };

  /// For an answer: to count attaches may take the run ten seconds.
  static constexpr std::chrono::seconds kPatience{60};
  /// For an answer of one that is stopped all that time.
  static constexpr std::chrono::seconds kStoppedPatience{5};
  static constexpr std::chrono::seconds kHelloPatience{5};
  /// For a request to be taken as a whole. It waits only where the run has not read what was asked
  /// before: requests are shorter than the socket's buffer.
  static constexpr std::chrono::seconds kSendPatience{1};

  using Deadline = std::optional<std::chrono::steady_clock::time_point>;

  static Result<RunConnection, Problem> connect_to(const std::string& path);
  /// The first half of that, which waits for nobody: get_hello() is to follow. The Problem is a
  /// clause.
  static Result<RunConnection, Problem> reach(const std::string& path);
  /// The same, but it waits while the run's queue of newcomers is full.
  static Result<RunConnection, Problem> reach_by(const std::string& path,
                                                 std::chrono::steady_clock::time_point deadline);
  /// Once. The Problem is a clause.
  Result<void, Problem> get_hello(const Deadline& deadline);
  /// Over a socket that is connected already.
  static Result<RunConnection, Problem> over(UniqueFd socket);

  [[nodiscard]] const Hello& hello() const { return hello_; }
  /// The reply; a Problem where it is an error.
  Result<Json, Problem> ask(const Json& request);
  /// The descriptor that came with the last reply; invalid where none did.
  [[nodiscard]] UniqueFd take_file() { return std::move(file_); }
  /// From now on answers are waited for until then, and not each for kPatience.
  void answer_by(const Deadline& deadline) { deadline_ = deadline; }
  /// Whether nothing more can be asked: the run has ended, or an answer did not come in time.
  [[nodiscard]] bool has_failed() const { return has_failed_; }
  /// Of the socket; empty where it was connected by somebody else.
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Of the process that listens there; 0 where that is not known.
  [[nodiscard]] pid_t peer() const { return peer_; }
  /// For another thread: what waits for the run ends, with a Problem.
  void interrupt() const { ::shutdown(socket_.get(), SHUT_RDWR); }
  /// The next line, of those that come by themselves, for which this waits as long as it takes.
  /// Nothing at the end of the run, and when nobody reads `output` any more, a pipe, a socket or a
  /// terminal.
  Result<std::optional<Json>, Problem> next(int output);
  /// Whether next() need not wait.
  [[nodiscard]] bool has_line() const { return input_.find('\n') != std::string::npos; }

 private:
  enum class Heard : std::uint8_t { kMore, kNothing, kEnd };

  explicit RunConnection(UniqueFd socket);

  /// Takes in more of what comes until then. The end: the run has ended, or nobody reads `output`,
  /// unless that is negative.
  Result<Heard, Problem> receive(const Deadline& deadline, int output = -1);
  /// Whether a signal has stopped it.
  [[nodiscard]] bool is_stopped() const;
  /// Why there was no answer.
  [[nodiscard]] Problem not_in_time() const;
  /// Precondition: has_line().
  Result<Json, Problem> take_line();
  Result<Json, Problem> next_line(const Deadline& deadline);
  Result<void, Problem> send_all(const std::string& text);

  UniqueFd socket_;
  pid_t peer_ = 0;
  std::string path_;
  std::string input_;
  UniqueFd file_;
  Hello hello_;
  Deadline deadline_;
  bool has_failed_ = false;
};

/// Whether nobody reads it any more; false where that cannot be told, as of a file.
[[nodiscard]] bool has_lost_its_reader(int output);
/// Bytes that are not printable ASCII become '?'.
[[nodiscard]] std::string printable(const std::string& text);
/// The same for a name that anybody may have chosen, in a line of words: in quotation marks, with
/// backslashes before those inside, where it could be taken for anything else than one word.
[[nodiscard]] std::string as_one_word(const std::string& text);

}  // namespace shmvisor::client
