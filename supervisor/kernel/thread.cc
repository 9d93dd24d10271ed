#include "supervisor/kernel/thread.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <new>

namespace shmvisor {
namespace {

/// None where they cannot be told, which needs more than 1024 CPUs.
cpu_set_t own_cpus() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  (void)::sched_getaffinity(0, sizeof(cpus), &cpus);
  return cpus;
}

/// Of the first thread, before anything pins it.
const cpu_set_t kCpusAtStart = own_cpus();

struct Start {
  void* (*entry)(void*);
  void* argument;
};

void* begin(void* started) {
  std::unique_ptr<Start> owned(static_cast<Start*>(started));
  const Start start = *owned;
  owned.reset();  // the thread may last
  // A thread begins with the CPUs of the one that made it. Where the process may use none of these
  // any more, it keeps those.
  (void)::sched_setaffinity(0, sizeof(kCpusAtStart), &kCpusAtStart);
  return start.entry(start.argument);
}

Result<pthread_t> start_thread(void* (*entry)(void*), void* argument, std::size_t stack_bytes,
                               int detach_state) {
  std::unique_ptr<Start> start(new (std::nothrow) Start{entry, argument});
  if (start == nullptr) return Errno(ENOMEM);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, detach_state);
  // Asked for less the library would refuse, and give the size of any other thread's.
  pthread_attr_setstacksize(&attributes,
                            std::max(stack_bytes, static_cast<std::size_t>(PTHREAD_STACK_MIN)));
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread{};
  const int error = pthread_create(&thread, &attributes, begin, start.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) return Errno(error);
  static_cast<void>(start.release());  // the thread's
  return thread;
}

}  // namespace

Result<pthread_t> start_joinable(void* (*entry)(void*), void* argument, std::size_t stack_bytes) {
  return start_thread(entry, argument, stack_bytes, PTHREAD_CREATE_JOINABLE);
}

Result<void> start_detached(void* (*entry)(void*), void* argument, std::size_t stack_bytes) {
  const auto thread = start_thread(entry, argument, stack_bytes, PTHREAD_CREATE_DETACHED);
  if (!thread) return thread.error();
  return {};
}

}  // namespace shmvisor
