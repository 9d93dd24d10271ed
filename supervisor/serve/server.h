// Server: answers the calls of one listener, by threads that receive (ReceiverPool) and a
// CallDispatcher.
//
// Ownership: borrows all arguments. Thread rule: start(), rest() and wait_for_end() from one
// thread.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "policy/base/result.h"
#include "supervisor/kernel/features.h"
#include "supervisor/namespaces/ipc_namespaces.h"
#include "supervisor/notify/listener.h"
#include "supervisor/serve/call_dispatcher.h"
#include "supervisor/serve/call_observers.h"
#include "supervisor/serve/receiver_pool.h"
#include "supervisor/serve/server_options.h"

namespace shmvisor {

class Server {
 public:
  Server(Listener& listener, IpcNamespaces& namespaces, KernelFeatures& features,
         const ServerOptions& options = {})
      : pool_(listener, options.most_threads, dispatcher_),
        observers_(options.ring, options.tally, options.payer_group, options.containers),
        dispatcher_(listener, namespaces, features, options, pool_, observers_) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  /// Precondition: idle(), or wait_for_end() said true.
  ~Server() { pool_.stop_looking(); }

  // See ReceiverPool.

  Result<void> start() {
    auto started = pool_.start();
    if (started && has_delayed_calls()) pool_.ask_to_look();
    return started;
  }
  void begin_with(std::vector<seccomp_notif> left) { pool_.begin_with(std::move(left)); }
  /// See ReceiverPool::keep_reserve().
  static void keep_reserve() { ReceiverPool::keep_reserve(); }
  void rest() { pool_.rest(); }
  /// Whether no thread is left: then the server may be destroyed.
  [[nodiscard]] bool idle() const { return pool_.idle(); }
  /// Whether calls wait here that a rule delays: then the server must not rest.
  [[nodiscard]] bool has_delayed_calls() { return dispatcher_.has_delayed_calls(); }
  [[nodiscard]] std::uint64_t received() const { return pool_.received(); }
  /// Receives no further call, and waits until all threads have ended. Threads in NOTIF_RECV are
  /// woken, since before Linux 6.11 that call does not tell that no supervised task is left. False
  /// if a process keeps a thread for longer than a second. Then our process must end without
  /// destroying what that thread uses.
  bool wait_for_end() { return pool_.wait_for_end(); }

 private:
  ReceiverPool pool_;  ///< outlives the dispatcher, which uses the pool until its end
  CallObservers observers_;
  CallDispatcher dispatcher_;
};

}  // namespace shmvisor
