// Server: answers the calls of one listener, by threads that receive (ReceiverPool) and a
// CallDispatcher.
//
// Ownership: borrows all arguments. Thread rule: start, rest and wait from one thread.
#pragma once

#include <cstdint>

#include "policy/base/result.h"
#include "supervisor/kernel/features.h"
#include "supervisor/namespaces/ipc_namespaces.h"
#include "supervisor/notify/listener.h"
#include "supervisor/serve/call_dispatcher.h"
#include "supervisor/serve/call_log.h"
#include "supervisor/serve/receiver_pool.h"
#include "supervisor/serve/server_options.h"

namespace shmvisor {

class Server {
 public:
  Server(Listener& listener, IpcNamespaces& namespaces, KernelFeatures& features,
         const ServerOptions& options = {})
      : pool_(listener, options.most_threads, dispatcher_),
        dispatcher_(listener, namespaces, features, options, pool_, log_) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  /// Precondition: idle(), or wait_for_end() said true.
  ~Server() { pool_.stop_looking(); }

  // See ReceiverPool.

  Result<void> start() { return pool_.start(); }
  void rest() { pool_.rest(); }
  /// Whether no thread is left: then it may be destroyed.
  [[nodiscard]] bool idle() const { return pool_.idle(); }
  [[nodiscard]] std::uint64_t received() const { return pool_.received(); }
  /// Receives no further call, and waits until all threads have ended. Threads in NOTIF_RECV are
  /// woken, since before Linux 6.11 it does not tell that no supervised task is left. False where a
  /// process keeps a thread longer than a second. Then our process must end without destroying what
  /// that thread uses.
  bool wait_for_end() { return pool_.wait_for_end(); }

 private:
  CallLog log_;
  ReceiverPool pool_;  ///< before the dispatcher, which others may still ask to look until it goes
  CallDispatcher dispatcher_;
};

}  // namespace shmvisor
