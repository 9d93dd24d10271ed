#include "supervisor/control/control_client.h"

#include "supervisor/control/protocol.h"

namespace shmvisor {
namespace {

/// For the line that tells how many calls were lost.
constexpr std::size_t kLostLineBytes = 64;

}  // namespace

void ControlClient::queue_lost_line() {
  if (lost != 0) connection.add(control::to_line({{"lost", std::exchange(lost, 0)}}));
}

std::uint64_t ControlClient::queue_lines(const std::vector<std::string>& lines,
                                         std::uint64_t lost_before) {
  std::uint64_t lost_now = lost_before;
  lost += lost_before;
  for (const std::string& line : lines) {
    if (!connection.room_for(line.size() + kLostLineBytes)) {
      ++lost;
      ++lost_now;
      continue;
    }
    queue_lost_line();
    connection.add(line);
  }
  if (lines.empty() && connection.room_for(kLostLineBytes)) queue_lost_line();
  return lost_now;
}

}  // namespace shmvisor
