// PostgresCluster: a small PostgreSQL database of which only the server runs in a column, with all
// of its shared memory from System V; its clients are outside.
//
// Made when it is first asked for, in a temporary folder, and gone at the end. As root the server
// runs as another user, since it refuses to be root.
// Errors: an Outcome without a value says why. Thread rule: one thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "integration/bench/launched.h"
#include "integration/bench/outcome.h"
#include "integration/bench/scratch_folder.h"
#include "integration/bench/workload.h"

namespace shmvisor {

class PostgresCluster {
 public:
  /// Nanoseconds for a parallel sequential scan, the median of several; then transactions in a
  /// second of `pgbench -S`, four clients. Of one start of the server.
  std::vector<Outcome> measure(const Placement& placement);

 private:
  Outcome parallel_scan() const;
  Outcome select(std::chrono::milliseconds budget) const;
  std::string make();
  std::string configure();
  std::vector<std::string> server_command(const std::vector<std::string>& prefix) const;
  std::vector<std::string> client_command(const std::string& program,
                                          const std::vector<std::string>& arguments) const;
  /// Runs `clients` beside the server; the reason where it failed.
  std::string with_server(const std::vector<std::string>& prefix,
                          const std::function<void()>& clients);
  bool wait_until_ready(const Launched& server) const;
  bool stop(const Launched& server) const;

  ScratchFolder folder_;
  std::string programs_;  ///< the folder of the server's programs
  bool made_ = false;
  std::string why_not_;  ///< the reason why it could not be made
};

}  // namespace shmvisor
