// resume_run: a run with a keeper whose program is a next one (Upgrader): it goes on with what
// KeptStore has, and starts the next server.
//
// Whatever can fail is tried before anything is changed: then the program before this one goes on.
//
// Thread rule: the main thread, which is the only one.
#pragma once

#include "supervisor/kernel/features.h"
#include "supervisor/launch/run.h"

namespace shmvisor {

/// Precondition: KeptStore::resumes(). `options` are those of this program's reading; what a run
/// cannot change while it lives is as it was. Answers the run's exit status.
int resume_run(const RunOptions& options, KernelFeatures& features);

}  // namespace shmvisor
