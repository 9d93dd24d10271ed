// ContainerProcess: what a container runtime tells about the process whose listener it sends.
//
// It is the ContainerProcessState of the OCI runtime specification (1.1, config-linux.md), as JSON.
// It reads "fds", "pid", "metadata" and the "id" of "state"; other fields are ignored. Runtimes
// differ: crun 1.8 sends pid 0 for a process that joins a container (`exec`); "metadata" may be
// missing, null or empty.
//
// Thread rule: plain values.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "policy/base/result.h"

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
Result<ContainerProcess, BadMessage> parse_container_process(std::string_view text);

/// For a log line: bytes that are not printable ASCII become '?', and long text is cut.
std::string printable(std::string_view text);

}  // namespace shmvisor
