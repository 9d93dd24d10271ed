// ClosingProcess: a child process that closes files for us, and may be lost.
//
// The last close(2) of a file that somebody else has or had, too, may wait for as long as that
// likes: of a TCP socket with SO_LINGER for its peer; of any file that can be polled for the lock
// of each epoll(7) that watches it (eventpoll_release_file() of fs/eventpoll.c), which an
// epoll_wait(2) holds while it copies to memory that does not come or polls a FUSE file that does
// not answer; of a UNIX socket for the files that its queue carries. Not even SIGKILL ends the
// second kind, and a process with a thread in it never ends. So the thread has to be another
// process's.
//
// The child has descriptors of its own: it keeps copies of the given ones alone.
// When it has them we close ours, which waits for nobody, then it closes its own and ends. A
// message that waits in a socket is taken first: closed with that, a socket gives its peer
// ECONNRESET instead of our last message. A child that is killed ends without waiting for TCP.
//
// Ownership: borrows the descriptors until close_ours(). Not to be destroyed before gone(). Thread
// rule: the thread that began it, which has to last as long: the child ends with it.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace shmvisor {

class ClosingProcess {
 public:
  static constexpr std::size_t kMostFiles = 64;
  /// For a child to have its copies, on a machine that is busy.
  static constexpr std::chrono::milliseconds kReadyBound{1000};
  /// For the closes. One that is killed waits for no TCP socket's peer.
  static constexpr std::chrono::milliseconds kCloseBound{1000};

  /// What a child has. One that shares our memory is made in no time, but it shares the errno of
  /// the thread that began it, too, which may ask for none before gone().
  enum class Memory : std::uint8_t { kOurs, kCopied };

  /// `files`: sorted, kMostFiles at most. Null where there is no memory or no process for it.
  static std::unique_ptr<ClosingProcess> begin(std::span<const int> files, Memory memory);
  ClosingProcess(const ClosingProcess&) = delete;
  ClosingProcess& operator=(const ClosingProcess&) = delete;
  ~ClosingProcess();

  /// Whether it has its copies in time, which takes no longer than the machine is busy.
  [[nodiscard]] bool wait_until_ready(std::chrono::milliseconds bound) const;
  /// Precondition: it is ready. From here on its are the last.
  void close_ours();
  /// Whether it has ended; once it has, it is reaped.
  [[nodiscard]] bool gone();
  void kill() const;
  /// Whether a process is one of ours that is not gone. Any thread.
  [[nodiscard]] static bool is_one(pid_t pid);
  [[nodiscard]] std::chrono::steady_clock::time_point since() const { return since_; }

 private:
  struct Shared;
  struct Stack;

  ClosingProcess(Shared* shared, std::unique_ptr<Stack> stack);
  static int run(void* shared);

  Shared* const shared_;
  const std::unique_ptr<Stack> stack_;
  const std::chrono::steady_clock::time_point since_;
  pid_t pid_ = -1;
};

}  // namespace shmvisor
