// Server: the threads that receive calls and answer them.
//
// Each thread blocks in NOTIF_RECV itself: only so does the kernel hand it the CPU of the caller
// (an epoll in between loses that). A thread that begins to serve makes sure that another one is
// waiting, so that a call that takes long, like counting a thousand processes, delays nobody.
//
// Ownership: borrows what it is given. stop() returns when no thread is in a call any more.
// Thread rule: start and stop from one thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "supervisor/kernel/features.h"
#include "supervisor/notify/expected_calls.h"
#include "supervisor/notify/listener.h"
#include "supervisor/process/ipc_namespaces.h"
#include "supervisor/process/refusals.h"
#include "supervisor/process/thread_identity.h"

namespace shmvisor {

class Server {
 public:
  /// Threads at most; beyond it callers wait for one another.
  static constexpr int kMostThreads = 256;
  /// Threads that stay when there is nothing to do.
  static constexpr int kMostIdle = 4;

  Server(Listener& listener, IpcNamespaces& namespaces, KernelFeatures& features)
      : listener_(listener),
        namespaces_(namespaces),
        features_(features),
        threads_seen_(features) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// EAGAIN where not even one thread can be had.
  Result<void> start();

  /// Waits until all threads have noticed that no supervised task is left. False where some did not
  /// within a second: before Linux 6.11 NOTIF_RECV does not say so. The process must then end
  /// without destroying what they use.
  bool wait_for_end();

 private:
  void run();
  void serve(const seccomp_notif& notif);
  bool add_thread();

  Listener& listener_;
  IpcNamespaces& namespaces_;
  KernelFeatures& features_;
  ThreadIdentities threads_seen_;
  ExpectedCalls expected_;
  Refusals refusals_;
  std::atomic<int> waiting_{0};
  std::atomic<int> threads_{0};
  std::mutex mutex_;
  std::condition_variable ended_;
};

}  // namespace shmvisor
