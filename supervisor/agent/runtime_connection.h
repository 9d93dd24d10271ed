// RuntimeConnection: one connection of a container runtime, from which one message comes: a JSON
// object and, beside its first bytes, one descriptor (SCM_RIGHTS, unix(7)).
//
// The end of the stream is not waited for: crun in the foreground and older runc hold the
// connection open for as long as the container runs. A runtime whose container failed to start
// closes it without having sent anything.
//
// The peer may be hostile: bytes, descriptors and time are bounded.
//
// With a keeper a message that is there as a whole is looked at and left in the connection, so that
// the next server finds it there if this one dies before it is served.
//
// Ownership: owns the socket, and the descriptor until it is taken. Thread rule: one thread.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "policy/base/unique_fd.h"
#include "supervisor/agent/object_scanner.h"
#include "supervisor/kernel/file_inode.h"
#include "supervisor/resources/strangers_file.h"

namespace shmvisor {

class RuntimeConnection {
 public:
  enum class Progress : std::uint8_t {
    kMore,      ///< not complete yet
    kComplete,  ///< text() and take_listener()
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

  /// Takes what read() has looked at and left there. Of a message that nobody needs any more, or
  /// only what is new would not make the connection readable.
  void take_what_was_seen();

  [[nodiscard]] std::string_view text() const { return text_; }
  /// Whether the runtime lives in another pid namespace, where pids mean other processes than here.
  [[nodiscard]] bool has_other_pids() const { return has_other_pids_; }
  [[nodiscard]] UniqueFd take_listener() { return std::move(listener_); }
  /// One clause for a log line.
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  Progress refuse(std::string reason);
  /// False where more came than one descriptor.
  bool take_descriptors(msghdr& header);

  StrangersFile socket_;
  const std::chrono::steady_clock::time_point deadline_;
  const bool has_other_pids_;
  const bool looks_first_;
  std::size_t seen_bytes_ = 0;  ///< and not taken
  ObjectScanner scanner_;
  std::string text_;
  UniqueFd listener_;
  std::string reason_;
};

}  // namespace shmvisor
