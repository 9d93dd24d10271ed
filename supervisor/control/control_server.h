// ControlServer: serves the clients of a run's control socket, in the main loop. PROTOCOL.md says
// what they may ask.
//
// Nothing here waits for a client. What a client sends and what it has not yet taken are bounded
// (ControlConnection), and so is the time for which a client may be silent, or take nothing:
// kPatience. A client that follows calls and does not keep up loses some, which are counted, and
// told when there is room again. Answers are made beside the loop (AnswerQueue); those to Detach by
// themselves, since each may take 20 s and keep others' answers waiting for as long. The
// descriptors for kMostClients are set aside at the start, so that segments cannot keep an operator
// out, nor clients keep segments from being made. Where all are taken, a newcomer takes the place
// of the client that has been silent for longest, once that was for kLeastSilence: it may just have
// come. Where that one waits for an answer, the newcomer is refused. Until then newcomers wait in
// the socket's backlog. Those who follow stay, and so are kMostFollowers at most.
//
// Ownership: borrows loop and descriptors. It may be destroyed once drain() has succeeded;
// otherwise the process must end without that: end_process.h. Thread rule: the loop's thread.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/control/answer_queue.h"
#include "supervisor/control/call_feed.h"
#include "supervisor/control/control_client.h"
#include "supervisor/control/control_socket.h"
#include "supervisor/control/named_registry.h"
#include "supervisor/control/reload_acts.h"
#include "supervisor/control/upgrade_desk.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/resources/descriptor_share.h"
#include "supervisor/session/reloader.h"
#include "supervisor/session/session_resources.h"

namespace shmvisor {

class ControlServer {
 public:
  static constexpr std::size_t kMostClients = 16;
  /// The other places are for clients that ask.
  static constexpr std::size_t kMostFollowers = 12;
  /// Besides the one that is carried out.
  static constexpr std::size_t kMostWaitingDetaches = 2;
  static constexpr std::chrono::seconds kPatience{30};
  static constexpr std::chrono::milliseconds kLeastSilence{250};

  struct Identity {
    std::string kind;  ///< "run" or "agent"
    std::string name;  ///< empty: none
    pid_t pid = ::getpid();
  };

  /// `resources`: borrowed.
  ControlServer(EventLoop& loop, SessionResources& resources, const Identity& identity,
                const KnownSessions& sessions, std::chrono::milliseconds patience = kPatience);
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;
  ~ControlServer();

  /// Whether answers can be handed over to the loop at all. Precondition of all else.
  [[nodiscard]] bool valid() const {
    return answers_.valid() && detaches_.valid() && feed_.valid();
  }
  /// How to answer Reload; borrowed, and nobody else is told of it. Before the first client.
  void reload_by(Reloader& reloader);
  /// The same for Upgrade.
  void upgrade_by(UpgradeDesk& desk);
  /// Clients may connect there from now on. Once.
  void listen(ControlSocket socket);
  /// Serves a client that is connected already; one that `follows` does so from now on.
  void take_in(StrangersFile socket, bool follows);
  /// Hands on the calls that are not handed on yet, and turns the loop until those who follow have
  /// taken them, for `bound` at most.
  void finish_following(std::chrono::milliseconds bound);
  /// Tells that those who asked for a reload got no answer, if some wait still.
  void give_up_reloads();
  /// From now on nobody connects: the socket's file goes.
  void accept_no_more();
  /// Ends all connections.
  void drop_all();
  /// Turns the loop until all clients have left, for `bound` at most. False where some have not.
  bool serve_the_rest(std::chrono::milliseconds bound);
  [[nodiscard]] std::size_t clients() const { return clients_.size(); }
  /// Requests whose answers are not begun yet: one for each client at most.
  [[nodiscard]] std::size_t waiting_requests() const {
    return answers_.waiting() + detaches_.waiting();
  }

  /// Ends all connections, removes the socket's file, and waits for the answer that is being made.
  /// False where that takes longer.
  bool drain(std::chrono::milliseconds bound);

 private:
  using Client = ControlClient;
  using Clients = std::list<Client>;
  enum class Room : std::uint8_t { kThere, kSoon, kNone };

  [[nodiscard]] std::string hello(std::uint32_t refused_upgrades) const;

  void accept_some();
  void greet(StrangersFile socket, Room room);
  /// `newcomer`: a list of this client alone.
  Clients::iterator enter(Clients& newcomer);
  void begin_following(Client& client);
  /// Nobody may be following any more.
  void look_for_followers();
  AnswerQueue& queue_for(const ControlRequest& request);
  /// Of what it asked, what is not begun yet is not answered.
  void forget(const Client& client);
  [[nodiscard]] bool is_followed() const;
  /// To all who follow.
  void deliver_lines(const std::vector<std::string>& lines, std::uint64_t lost);
  /// To the audit, and to those who follow.
  void tell(const AuditRecord& act) noexcept;
  [[nodiscard]] Room room_for_newcomer();
  /// One that asks nothing, if there is one; of several the one that was silent for longest.
  [[nodiscard]] Clients::iterator least_busy();
  void see(Clients::iterator client, short events);
  /// Takes the client's next request, if it waits for no answer. False where the client is dropped.
  bool hear(Client& client);
  void deliver(AnswerQueue::ClientNumber number, ControlAnswer answer);
  void deliver_to(Clients::iterator client, ControlAnswer answer);
  /// Hands the wish on, or refuses it.
  void ask_for_upgrade(Client& client, const Upgrade& request, std::optional<AuditRecord> act);
  void deliver_reload(Reloader::Reading reading, const SteeringUpdate& update);
  /// Writes what the client takes, and watches it for what is to come. False where it is to be
  /// dropped.
  bool go_on(Clients::iterator client);
  void watch(Clients::iterator client, short events);
  void drop(Clients::iterator client);

  EventLoop& loop_;
  std::optional<ControlSocket> socket_;
  DescriptorShare descriptors_;
  CallTally& tally_;
  const std::chrono::milliseconds patience_;
  const Identity identity_;
  std::string hello_;
  AnswerQueue::ClientNumber last_number_ = 0;
  Clients clients_;
  Reloader* reloader_ = nullptr;  ///< null: there is no configuration
  ReloadActs reload_acts_;
  UpgradeDesk* upgrade_desk_ = nullptr;  ///< null: there is no keeper
  AnswerQueue answers_;
  AnswerQueue detaches_;
  CallFeed feed_;
  /// Paused for a while after accept(2) ran out of something.
  EventLoop::Source newcomers_;
};

}  // namespace shmvisor
