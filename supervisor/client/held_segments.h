// Which supervised processes map which segments, from the kernel's own tables: /proc/PID/maps.
//
// The client reads them, and not the run: a process in the middle of an exec keeps whoever reads
// its maps waiting. Such a one is not readable (BoundedLook).
//
// Errors: a Problem. Thread rule: one thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {

/// One mapping of a segment.
struct HeldSegment {
  std::string range;   ///< "7f0000000000-7f0000001000"
  std::string rights;  ///< "rw-s"
  std::uint64_t offset_bytes = 0;
  std::uint64_t bytes = 0;
  Json segment;
};

struct SupervisedProcess {
  pid_t pid = 0;
  uid_t uid = 0;
  std::string command;
  std::string session;   ///< the registry of what it holds, or that its run or container began with
  bool readable = true;  ///< whether its maps could be read
  /// Whether it is a descendant of the run, or maps a segment. Others merely may be supervised.
  bool certain = false;
  std::vector<HeldSegment> held;
};

/// The processes that may be supervised, each once, in the order of their pids. A Problem too where
/// they are in another pid namespace.
Result<std::vector<SupervisedProcess>, Problem> fetch_processes(RunConnection& run,
                                                                const std::vector<Json>& segments);

/// What to call the process that made a segment, in one word: its command; "ended"; "?" where the
/// pid is none of ours, or a restored segment's that nobody has attached yet. A process that began
/// after the segment's last change has only got its pid; where the clock was set meanwhile, that
/// may be wrong.
[[nodiscard]] std::string creator_of(const Json& segment, bool has_our_pids);

}  // namespace shmvisor::client
