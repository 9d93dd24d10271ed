// heap_trim_later: returns free memory of malloc(3) to the kernel, once a wave of frees is over.
//
// Some thousands of segments, and the threads that serve them, leave 6 to 9 MiB of free memory
// scattered over the heaps; malloc by itself returns only the end of a heap. malloc_trim(3) takes
// milliseconds, during which other allocations wait. So it runs when no segment has been freed for
// a second, and every ten seconds while the wave goes on.
//
// Errors: none; where no thread can be created the memory stays until the next wave. Thread rule:
// any thread.
#pragma once

namespace shmvisor {

/// Called for each segment that is freed. Most calls only count.
void heap_trim_later();

}  // namespace shmvisor
