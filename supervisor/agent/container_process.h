// ContainerProcess: what a container runtime says about a process whose listener it sends.
//
// It is the ContainerProcessState of the OCI runtime specification (1.1, config-linux.md), as JSON.
// Read are "fds", "pid", "metadata", and of "state" "id"; whatever else is there is passed over.
// What runtimes make of it: crun 1.8 says pid 0 for a process that joins a container (`exec`);
// "metadata" may be missing, null or empty.
//
// Thread rule: plain values.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <variant>

namespace shmvisor {

struct ContainerProcess {
  std::string container_id;
  pid_t pid = 0;  ///< in the runtime's pid namespace; 0: not told
  std::string metadata;
};

/// One clause for a log line.
struct BadMessage {
  std::string reason;
};

/// Most bytes of a container's id.
constexpr std::size_t kLongestContainerId = 1024;

/// `text`: one whole JSON object, which names one descriptor, "seccompFd".
std::variant<ContainerProcess, BadMessage> parse_container_process(std::string_view text);

/// For a log line: what is not printable ASCII becomes '?', and what is long is cut.
std::string printable(std::string_view text);

}  // namespace shmvisor
