// ControlConnection: the lines that one client sends, and those that it gets.
//
// Nothing here waits: read() takes what is there, and flush() writes what the client takes. Both
// directions are bounded: a client that sends a longer line is refused, and one that does not read
// gets no more lines than fit (room_for()). One that sends files along sends nothing more that is
// heard.
//
// Ownership: owns the socket. Thread rule: one thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "policy/base/unique_fd.h"
#include "supervisor/resources/strangers_file.h"

namespace shmvisor {

class ControlConnection {
 public:
  /// Bytes that wait for the client to take them.
  static constexpr std::size_t kMostQueuedBytes = std::size_t{2} << 20;

  /// `socket`: non-blocking.
  explicit ControlConnection(StrangersFile socket) : socket_(std::move(socket)) {}

  [[nodiscard]] int fd() const { return socket_.get(); }

  /// Takes what the client has sent, within the bound of a line.
  void read();
  /// The next whole line, without its newline.
  std::optional<std::string> take_line();
  /// Whether the client has sent anything that is not taken.
  [[nodiscard]] bool has_input() const { return !input_.empty(); }
  /// Whether what was sent so far is no line and cannot become one any more: it is too long, or its
  /// sender has ended it in the middle.
  [[nodiscard]] bool no_line_comes() const;
  /// Whether the client sends nothing more.
  [[nodiscard]] bool sender_ended() const { return sender_ended_; }

  [[nodiscard]] bool room_for(std::size_t bytes) const {
    return output_.size() - written_bytes_ + bytes <= kMostQueuedBytes;
  }
  /// Precondition: room_for() it; where a descriptor is to go with it, nothing is queued.
  void add(const std::string& line, UniqueFd file = UniqueFd());
  /// Writes what the client takes just now. False where it is gone.
  bool flush();
  /// Whether it still has a descriptor, which the client could not take.
  [[nodiscard]] bool has_file() const { return file_.valid(); }
  [[nodiscard]] bool has_output() const { return written_bytes_ != output_.size(); }
  /// Bytes that the client has taken.
  [[nodiscard]] std::size_t taken_bytes() const { return taken_bytes_; }

 private:
  StrangersFile socket_;
  std::string input_;
  bool sender_ended_ = false;
  std::string output_;
  UniqueFd file_;                  ///< goes with the first byte of output_
  std::size_t written_bytes_ = 0;  ///< of output_
  std::size_t taken_bytes_ = 0;
};

}  // namespace shmvisor
