#include "supervisor/agent/container_process.h"

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

namespace shmvisor {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLongestInLog = 128;

/// The member of that name; null where there is none.
const Json& member(const Json& object, const char* name) {
  static const Json kNone;
  const auto found = object.find(name);
  return found == object.end() ? kNone : *found;
}

bool names_the_listener_alone(const Json& fds) {
  return fds.is_array() && fds.size() == 1 && fds[0].is_string() &&
         fds[0].get_ref<const std::string&>() == "seccompFd";
}

}  // namespace

Result<ContainerProcess, BadMessage> parse_container_process(std::string_view text) {
  const Json message = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!message.is_object()) return BadMessage{"it is no JSON object"};
  if (!names_the_listener_alone(member(message, "fds"))) {
    return BadMessage{"\"fds\" is not [\"seccompFd\"]"};
  }
  ContainerProcess process;
  const Json& pid = member(message, "pid");
  if (!pid.is_null()) {
    if (!pid.is_number_unsigned() ||
        pid.get<std::uint64_t>() >
            static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max())) {
      return BadMessage{"\"pid\" is no process id"};
    }
    process.pid = pid.get<pid_t>();
  }
  const Json& metadata = member(message, "metadata");
  if (!metadata.is_null()) {
    if (!metadata.is_string()) return BadMessage{"\"metadata\" is no string"};
    process.metadata = metadata.get_ref<const std::string&>();
  }
  const Json& state = member(message, "state");
  if (!state.is_object()) return BadMessage{"there is no \"state\""};
  const Json& id = member(state, "id");
  if (!id.is_string() || id.get_ref<const std::string&>().empty()) {
    return BadMessage{"\"state\" has no \"id\""};
  }
  process.container_id = id.get_ref<const std::string&>();
  if (process.container_id.size() > kLongestContainerId) return BadMessage{"the id is too long"};
  return process;
}

std::string printable(std::string_view text) {
  std::string shown(text.substr(0, kLongestInLog));
  for (char& letter : shown) {
    if (letter < ' ' || letter > '~') letter = '?';
  }
  if (text.size() > kLongestInLog) shown += "...";
  return shown;
}

}  // namespace shmvisor
