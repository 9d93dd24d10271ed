// Agent: receives the listeners that container runtimes send (linux.seccomp.listenerPath of the OCI
// runtime specification) and serves them, until SIGTERM or SIGINT. SIGHUP reads the configuration
// again.
//
// An invalid message is refused with a line in the log, and affects no other container: the
// connection and its descriptors are closed, and the calls of that container fail with ENOSYS.
//
// Thread rule: the main thread.
#pragma once

#include <csignal>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "policy/limits/limits.h"
#include "supervisor/agent/containers.h"
#include "supervisor/agent/listening_socket.h"
#include "supervisor/agent/runtime_connection.h"
#include "supervisor/agent/service_manager.h"
#include "supervisor/audit/audit_place.h"
#include "supervisor/control/control_server.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/session/cleanup_mode.h"
#include "supervisor/session/orphan_cleanup.h"
#include "supervisor/session/reloader.h"

namespace shmvisor {

struct GroupSocket {
  std::string group;
  std::string path;
};

struct AgentOptions {
  /// Empty: the one that the service manager hands over, or one at the default path.
  std::string socket;
  Limits limits;                 ///< of containers whose metadata sets none
  Steering steering = {};        ///< limits of users, and rules for calls
  ReadSteering read_again = {};  ///< null: there is no configuration
  ControlOptions control;
  CleanupMode cleanup = CleanupMode::kKeep;
  /// Groups that commands of the host may join, and where.
  std::vector<GroupSocket> open_groups = {};
  AuditOptions audit;
};

/// `shmvisor agent`: the exit status.
int run_agent(const AgentOptions& options, KernelFeatures& features);

class Agent {
 public:
  Agent(ListeningSocket socket, const sigset_t& ends, const ServiceManager& manager,
        const Limits& limits, KernelFeatures& features);

  /// Takes over limits and rules; `read_again` reads them anew, null where there is no
  /// configuration. Before run().
  void steer(const Steering& steering, ReadSteering read_again);
  /// Before run(); a sentence where the socket cannot be had.
  std::optional<std::string> open_group(const GroupSocket& wanted);
  /// Of containers that are served from now on. Before open_group() and run().
  void clean_up(CleanupMode mode);
  /// The exit status. Where calls in service do not end, the process must end without destroying
  /// this.
  struct Ending {
    int status = 0;
    bool drained = true;
  };
  Ending run();
  /// Opens the control socket that the options ask for; a sentence where it cannot be had.
  std::optional<std::string> open_control(const ControlOptions& wanted);

 private:
  /// Connections that are read at a time. When more come the oldest is closed, so that silent peers
  /// keep no other waiting.
  static constexpr std::size_t kMostConnections = 512;

  struct Connection {
    explicit Connection(StrangersFile socket) : runtime(std::move(socket)) {}

    RuntimeConnection runtime;
    EventLoop::Source readable = {};
    EventLoop::Timer late = {};
  };
  using Connections = std::list<Connection>;

  void read_signals();
  /// Tells the service manager, now or when it reads again.
  void tell_ready();
  void accept_all();
  void take_in(StrangersFile socket);
  void read_from(Connections::iterator connection);
  void drop_late(Connections::iterator connection);
  /// Serves a runtime whose message is complete. Answers why it is refused, if it is.
  std::optional<std::string> serve(RuntimeConnection& runtime);
  Ending end();

  const ListeningSocket socket_;
  const UniqueFd signals_;
  const ServiceManager& manager_;
  EventLoop loop_;
  bool told_to_end_ = false;
  const EventLoop::Source signals_came_;
  Containers containers_;
  std::optional<OrphanCleanup> cleanup_;
  std::optional<ControlServer> control_;
  std::optional<Reloader> reloader_;  ///< where there is a configuration
  Connections connections_;           ///< the oldest first
  /// Paused for a while after accept(2) ran out of something.
  EventLoop::Source runtimes_come_;
  bool told_of_accept_ = false;
  EventLoop::Timer ready_again_;
};

}  // namespace shmvisor
