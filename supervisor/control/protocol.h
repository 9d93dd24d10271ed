// The control protocol in numbers and words: what server and clients have in common. PROTOCOL.md
// describes it.
//
// Thread rule: constants.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

namespace shmvisor::control {

/// Grows when a client of the last version would misunderstand something.
inline constexpr int kProtocolVersion = 1;
/// A request, with its newline.
inline constexpr std::size_t kMostRequestBytes = 4096;
/// A reply, with its newline.
inline constexpr std::size_t kMostReplyBytes = std::size_t{1} << 20;
/// In one reply; the next request goes on behind them.
inline constexpr std::size_t kSegmentsInAReply = 256;
inline constexpr std::size_t kProcessesInAReply = 65536;
/// Of all registries, and of one.
inline constexpr std::size_t kUsersInAReply = 2048;
inline constexpr std::size_t kUsersOfARegistry = 64;

/// Keeps the order in which members are entered.
using Json = nlohmann::ordered_json;

/// One line. Bytes that are no UTF-8 are replaced.
inline std::string to_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// Why a request is not answered: a word for programs, and a clause for people.
struct Refusal {
  std::string code;
  std::string message;

  [[nodiscard]] std::string line() const {
    return to_line({{"error", {{"code", code}, {"message", message}}}});
  }
};

}  // namespace shmvisor::control
