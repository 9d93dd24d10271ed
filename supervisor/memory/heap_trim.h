// heap_trim_later: gives what malloc(3) keeps back to the kernel, once a wave is over.
//
// A wave of segments and of the threads that serve it leaves free memory in pieces all over the
// heaps, 6 to 9 MiB after some thousands: malloc gives back by itself only what lies at a heap's
// end. To look for the rest takes milliseconds, in which others' allocations wait. So it is done
// when nothing has been freed for a second, and every ten seconds while the wave goes on.
//
// Errors: none; where no thread can be had it stays until the next wave. Thread rule: any thread.
#pragma once

namespace shmvisor {

/// To be called for each segment that is freed. Mostly it counts, and no more.
void heap_trim_later();

}  // namespace shmvisor
