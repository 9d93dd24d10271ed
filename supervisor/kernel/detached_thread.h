// start_detached: a thread that nobody joins, with a small stack and all signals blocked: they are
// for other threads.
//
// Errors: those of pthread_create(3), as the number itself; 0 for none. Ownership: `argument` is
// the new thread's, but only where it began. Thread rule: any thread; its own signal mask stays.
#pragma once

#include <pthread.h>

#include <csignal>
#include <cstddef>

namespace shmvisor {

[[nodiscard]] inline int start_detached(void* (*entry)(void*), void* argument,
                                        std::size_t stack_bytes) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, stack_bytes);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread{};
  const int error = pthread_create(&thread, &attributes, entry, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return error;
}

}  // namespace shmvisor
