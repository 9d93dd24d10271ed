// HttpClient: the connection of one client of an HttpServer: what it has sent, and what it has not
// taken yet. Nothing here waits.
//
// Ownership: owns the socket. Thread rule: the loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "supervisor/http/request_reader.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/resources/strangers_file.h"

namespace shmvisor {

struct HttpClient {
  /// Of what is no part of the request.
  static constexpr std::size_t kMostDiscardedBytes = std::size_t{256} << 10;

  enum class State : std::uint8_t {
    kSends,    ///< its request is not whole
    kWaits,    ///< for an answer that is being made
    kTakes,    ///< the answer; then the connection is ended
    kFollows,  ///< a stream
    kLingers,  ///< has all, and is to close: RFC 9112, 9.6
  };

  HttpClient(std::uint64_t its_number, StrangersFile its_socket)
      : number(its_number), socket(std::move(its_socket)) {}

  /// Takes in what was sent, and throws it away where it is no part of the request. False where the
  /// connection has failed, or that was very much.
  bool read();
  /// Writes what the client takes just now. False where it is gone.
  bool flush();
  void add(std::string_view text) { output += text; }
  [[nodiscard]] std::size_t queued_bytes() const { return output.size() - written_bytes; }

  const std::uint64_t number;
  const StrangersFile socket;
  RequestReader reader;
  State state = State::kSends;
  EventLoop::Time since = EventLoop::Clock::now();  ///< it sent or took something, or got an answer
  std::string output = {};
  std::size_t discarded_bytes = 0;
  std::size_t written_bytes = 0;  ///< of output
  bool sender_ended = false;      ///< it sends nothing more, and may still take its answer
  short watched_events = -1;
  EventLoop::Source watched = {};
  EventLoop::Timer late = {};
};

}  // namespace shmvisor
