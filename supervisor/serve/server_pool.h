// ServerPool: the servers of any number of listeners, which come and go; most of them are quiet.
//
// A listener whose callers call has threads of its own (Server). One that was quiet for a second
// has none, and is watched by epoll(7) together with all others; it gets them back with the next
// call. When the last process under a filter has ended, whoever added its listener is told, its
// server is destroyed as soon as no thread needs it, and with the last server that refers to it the
// namespace set.
//
// Ownership: owns listeners and servers, shares namespace sets. It may be destroyed once drain()
// has succeeded; otherwise the process must end without that.
// Thread rule: one thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/kernel/features.h"
#include "supervisor/namespaces/ipc_namespaces.h"
#include "supervisor/notify/listener.h"
#include "supervisor/serve/server.h"

namespace shmvisor {

class ServerPool {
 public:
  explicit ServerPool(KernelFeatures& features);
  ~ServerPool();

  struct Client {
    std::shared_ptr<IpcNamespaces> namespaces;
    ServerOptions options = {};
    /// Called by turn() when the last process under the filter has ended.
    std::function<void()> ended = [] {};
  };

  /// Serves its calls from now on. EMFILE or ENOSPC where it cannot be watched.
  Result<void> add(UniqueFd listener, WaitKind wait_kind, Client client);

  /// Readable when turn() has something to do.
  [[nodiscard]] int fd() const { return epoll_.get(); }
  /// After how long turn() has something to do all the same, for poll(2).
  [[nodiscard]] int timeout_ms() const;
  /// Gives threads to who calls, takes them from who is quiet, and ends what has ended.
  void turn();

  [[nodiscard]] std::size_t size() const { return resting_.size() + awake_.size() + ended_.size(); }
  /// Listeners that have threads.
  [[nodiscard]] std::size_t awake() const { return awake_.size(); }

  /// Receives no further call, and waits until those in flight are answered. False where some were
  /// not in time.
  bool drain(std::chrono::milliseconds bound);

 private:
  class Entry;
  using Entries = std::list<Entry>;

  void watch(Entry& entry, unsigned events) const;
  void see(Entry& entry, unsigned events);
  void wake(Entry& entry);
  void wake_others_again();
  void lay_quiet_ones_to_rest();
  void destroy_ended_ones();

  KernelFeatures& features_;
  const UniqueFd epoll_;
  Entries resting_;
  Entries awake_;
  Entries ended_;
  std::chrono::steady_clock::time_point next_look_;
  /// Whose calls wait, since no thread was to be had for them.
  std::vector<Entry*> unwoken_;
  std::chrono::steady_clock::time_point wake_again_;
};

}  // namespace shmvisor
