// run_kept: a run with a keeper. This process becomes the keeper: the command's parent, which
// passes on signals, reaps, and has the exit status. The calls are served by a clone of it, the
// server, which shares its descriptors. A server that dies is followed by another one, which goes
// on with what the dead one had open and what lies in memory that all share.
//
// A server that ends because the run is over says so in the KeeperPage; any other end is a death.
// At RunOptions::keeper_deaths deaths within a minute the run ends as one without a keeper does
// when it is killed.
//
// Thread rule: the main thread, while it is the only one.
#pragma once

#include <optional>

#include "policy/base/unique_fd.h"
#include "supervisor/join/join_socket.h"
#include "supervisor/launch/launched.h"
#include "supervisor/launch/serving_run.h"

namespace shmvisor {

/// Precondition: launched.kept. `socket`: where others may join. Answers the run's exit status.
int run_kept(const Launched& launched, UniqueFd listener, std::optional<JoinSocket> socket,
             ServingRun::Groundwork groundwork);

}  // namespace shmvisor
