// Finds the run that a client is to talk to: by its socket, its name or its pid, or because it is
// the only one of this user that has a control socket.
//
// Errors: a Problem where there is none, or more than one. Thread rule: the main thread.
#pragma once

#include <string>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {

struct RunChoice {
  std::string path = {};  ///< of its socket; empty: the default places
  std::string name = {};  ///< empty: any
  pid_t pid = 0;          ///< 0: any
};

Result<RunConnection, Problem> find_run(const RunChoice& choice);

}  // namespace shmvisor::client
