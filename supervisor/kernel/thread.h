// start_detached, start_joinable: start a thread with a small stack. All signals are blocked in it:
// other threads take them. It may run on all CPUs that the process began with, also where the
// thread that makes it is pinned to one for a moment.
//
// Errors: EAGAIN and ENOMEM, where no thread can be had. Ownership: `argument` is the new thread's
// if the thread started. Thread rule: any thread; its own signal mask and CPUs stay.
#pragma once

#include <pthread.h>

#include <cstddef>

#include "policy/base/result.h"

namespace shmvisor {

/// The caller joins it, pthread_join(3). The stack is at least the smallest that the library
/// allows, which is 128 KiB on 64-bit Arm.
Result<pthread_t> start_joinable(void* (*entry)(void*), void* argument, std::size_t stack_bytes);
/// Nobody joins it.
Result<void> start_detached(void* (*entry)(void*), void* argument, std::size_t stack_bytes);

}  // namespace shmvisor
