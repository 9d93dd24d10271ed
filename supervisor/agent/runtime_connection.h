// RuntimeConnection: one connection of a container runtime, from which one message comes: a JSON
// object and, beside its first bytes, one descriptor (SCM_RIGHTS, unix(7)).
//
// The end of the stream is not waited for: crun in the foreground and older runc hold the
// connection open for as long as the container runs. A runtime whose container failed to start
// closes it without having sent anything.
//
// The peer may be hostile: bytes, descriptors and time are bounded. The last close of what it sends
// may be for ever, so another process does that (StrangersFile). A message is looked at first, and
// taken only while we have each of its files by a descriptor: so the kernel closes none in our
// thread. Where more files come than that, or none of our descriptors is left for one, they stay in
// the connection, which that process closes as well.
//
// A message that is there as a whole is left in the connection until it is served: the next server
// of a keeper finds it there if this one dies before.
//
// Ownership: owns the socket, and the descriptor until it is served. Thread rule: one thread.
#pragma once

#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "supervisor/agent/object_scanner.h"
#include "supervisor/kernel/file_inode.h"
#include "supervisor/resources/strangers_file.h"

namespace shmvisor {

class RuntimeConnection {
 public:
  enum class Progress : std::uint8_t {
    kMore,      ///< not complete yet
    kComplete,  ///< text() and listener()
    kNothing,   ///< closed, and nothing was sent
    kRefused    ///< reason()
  };

  static constexpr std::size_t kMostBytes = std::size_t{1} << 20;
  /// From its beginning until the message is complete.
  static constexpr std::chrono::seconds kPatience{10};

  /// `socket`: non-blocking.
  explicit RuntimeConnection(StrangersFile socket);

  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] std::uint64_t inode() const { return inode_of(socket_.fd()); }
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const { return deadline_; }

  /// Reads what is there. Not to be called again once it has answered anything but kMore.
  Progress read();

  /// Takes what read() has looked at and left there, if its files are not closed by that. Of a
  /// message that nobody needs any more, or only what is new would not make the connection
  /// readable. Precondition: whoever has listener() now keeps it open.
  void take_what_was_seen();

  [[nodiscard]] std::string_view text() const { return text_; }
  /// Whether the runtime lives in another pid namespace, where pids mean other processes than here.
  [[nodiscard]] bool has_other_pids() const { return has_other_pids_; }
  [[nodiscard]] StrangersFile& listener() { return listener_; }
  /// One clause for a log line.
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  Progress refuse(std::string reason);
  /// False where more came than one descriptor, or one for which no number was left here.
  bool take_descriptors(msghdr& header);

  StrangersFile socket_;
  const std::chrono::steady_clock::time_point deadline_;
  const bool has_other_pids_;
  std::size_t seen_bytes_ = 0;  ///< and not taken
  ObjectScanner scanner_;
  std::string text_;
  StrangersFile listener_;
  std::array<StrangersFile, 2> surplus_;  ///< with room for all that one look brings
  bool has_all_files_ = true;             ///< each that was seen is open here
  std::string reason_;
};

}  // namespace shmvisor
