// Interruption: SIGINT, SIGTERM and SIGHUP end the benchmark in order: what it started is ended and
// its files are removed, as at its end.
//
// Thread rule: caught in whichever thread; any thread may ask.
#pragma once

namespace shmvisor {

/// From now on these signals interrupt system calls and are remembered, but for those that whoever
/// started us has ignored.
void catch_interruptions();

/// The first of them that came; 0 while none did.
int interruption();

}  // namespace shmvisor
