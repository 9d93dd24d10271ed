// ServerPool: the servers of any number of listeners, which come and go; most of them are quiet.
//
// A busy listener has threads of its own (Server). A listener that was quiet for a second has none:
// epoll(7) watches it together with all other quiet listeners, and the next call gives it threads
// again. When the last process under a filter has ended, Client::ended is called. The server is
// destroyed as soon as no thread needs it, and the session with the last of its users.
//
// Ownership: owns listeners and servers, shares sessions. Listeners are strangers' files too, so
// another process closes them (StrangersFile). It may be destroyed once drain() has succeeded;
// otherwise the process must end without destroying it. Borrows the loop, in which its callbacks
// run. Thread rule: one thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/notify/listener.h"
#include "supervisor/resources/strangers_file.h"
#include "supervisor/serve/server_options.h"
#include "supervisor/session/session.h"

namespace shmvisor {

class ServerPool {
 public:
  explicit ServerPool(EventLoop& loop);
  ~ServerPool();

  struct Client {
    std::shared_ptr<Session> session;
    ServerOptions options = {};
    /// Called when the last process under the filter has ended, by the loop or by look().
    std::function<void()> ended = [] {};
    /// Where calls are noted for another process; null: nowhere. See ServedListener::begin_with().
    CallSlots* slots = nullptr;
    std::span<const CallSlots::Left> left = {};
    /// Where the pool notes how callers wait, once a caller has shown it; borrowed. Null: nowhere.
    std::atomic<std::uint8_t>* wait_kind = nullptr;
  };

  /// Whether listeners can be watched at all.
  [[nodiscard]] bool valid() const { return epoll_.valid(); }
  /// Serves the listener's calls from now on. EMFILE or ENOSPC if the listener cannot be watched.
  /// If this throws, it has done nothing.
  Result<void> add(StrangersFile& listener, WaitKind wait_kind, Client client);

  /// Does at once what the loop also does: gives threads to listeners with calls, and ends those
  /// whose last process has ended.
  void look();

  /// Listeners that are served, or are about to be forgotten.
  [[nodiscard]] std::size_t size() const { return resting_.size() + awake_.size() + ended_.size(); }
  /// Listeners that have threads.
  [[nodiscard]] std::size_t awake() const { return awake_.size(); }

  /// Receives no further call, waits until the calls in service are answered, and then lets go of
  /// all listeners, before the end of this process, which would wait for their last close. False if
  /// some calls were not answered in time.
  bool drain(std::chrono::milliseconds bound);

 private:
  class Entry;
  using Entries = std::list<Entry>;

  void watch(Entry& entry, unsigned events) const;
  void see(Entry& entry, unsigned events);
  void wake(Entry& entry);
  [[nodiscard]] static Result<void> start(Entry& entry) noexcept;
  void wake_others_again();
  void lay_quiet_ones_to_rest();
  void destroy_ended_ones();
  void let_go();

  const UniqueFd epoll_;  ///< watches all listeners: there may be thousands, most of them quiet
  Entries resting_;
  Entries awake_;
  Entries ended_;
  /// Listeners whose calls wait, since no thread could be created. Has room for all listeners.
  std::vector<Entry*> unwoken_;
  const EventLoop::Source some_happened_;
  EventLoop::Timer rest_time_;      ///< while some are awake
  EventLoop::Timer wake_again_;     ///< while some are unwoken
  EventLoop::Timer destroy_again_;  ///< while some have ended
};

}  // namespace shmvisor
