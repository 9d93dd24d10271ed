// web_state(): what the page of `shmvisor web` gets of a run at one time, as one JSON object.
//
// Of very many segments it has the largest, of very many processes those that map most.
//
// Thread rule: any thread.
#pragma once

#include "supervisor/client/sampler.h"

namespace shmvisor::client {

[[nodiscard]] Json web_state(RunView view);

}  // namespace shmvisor::client
