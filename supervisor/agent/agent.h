// Agent: receives the listeners that container runtimes send (linux.seccomp.listenerPath of the OCI
// runtime specification) and serves them, until it is told to end (AgentOrders).
//
// An invalid message is refused with a line in the log, and affects no other container: the
// connection and its descriptors are closed, and the calls of that container fail with ENOSYS.
//
// With a keeper (kept_agent.h) it is one of several, one after another, each of which goes on with
// what the last one had. A message that was not served by then is in its connection still.
//
// Thread rule: the main thread.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "policy/limits/limits.h"
#include "supervisor/agent/agent_orders.h"
#include "supervisor/agent/containers.h"
#include "supervisor/agent/kept_containers.h"
#include "supervisor/agent/listening_socket.h"
#include "supervisor/agent/manager_reports.h"
#include "supervisor/agent/runtime_connection.h"
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
  /// Whether a keeper starts another server where one dies.
  bool keeper = false;
  /// So many deaths of servers in a minute are too many.
  int keeper_deaths = 5;
};

/// `shmvisor agent`: the exit status.
int run_agent(const AgentOptions& options, KernelFeatures& features);

class Agent {
 public:
  /// What is there before anybody is served, and before there is a server where there are several.
  struct Groundwork {
    ListeningSocket socket;
    std::shared_ptr<SessionResources> resources;
    struct OpenGroup {
      std::string name;
      JoinSocket socket;
    };
    std::vector<OpenGroup> open_groups = {};
    std::optional<ControlSocket> control = {};
  };
  /// A sentence where a socket that the options ask for cannot be had.
  static Result<Groundwork, std::string> lay_groundwork(const AgentOptions& options,
                                                        ListeningSocket socket,
                                                        KernelFeatures& features);

  /// What all servers of a keeper share.
  struct Shared {
    Kept kept;
    AgentOrders& orders;
    KeptContainers& containers;
    std::vector<KeptVisitors*> visitors;  ///< of each open group
    int ready;                            ///< an eventfd: a server serves
  };

  /// `shared`: null without a keeper; then `manager` is told how far it is.
  Agent(const AgentOptions& options, Groundwork groundwork, const ServiceManager& manager,
        const Shared* shared);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  /// The exit status. Where calls in service do not end, the process must end without destroying
  /// this.
  struct Ending {
    int status = 0;
    bool drained = true;
  };
  Ending run();

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

  /// Whether nobody has served before.
  [[nodiscard]] bool is_first() const {
    return shared_ == nullptr || !shared_->kept.page.serves.load();
  }
  /// A sentence where it cannot begin.
  std::optional<std::string> begin();
  /// Goes on with what the last server had; first of all, also where there was none.
  void go_on();
  void take_connections_back();
  void open_control();
  void clean_up();
  void see_orders();
  void see_news();
  void tell_ready();
  void accept_all();
  void take_in(StrangersFile socket);
  void read_from(Connections::iterator connection);
  void conclude(RuntimeConnection& runtime, RuntimeConnection::Progress progress);
  void drop_late(Connections::iterator connection);
  /// Serves a runtime whose message is complete. Answers why it is refused, if it is.
  std::optional<std::string> serve(RuntimeConnection& runtime);
  Ending end();

  const AgentOptions& options_;
  const Shared* const shared_;
  ListeningSocket socket_;
  std::vector<Groundwork::OpenGroup> to_open_;  ///< once the state is there
  std::optional<ControlSocket> control_socket_;
  EventLoop loop_;
  AgentOrders own_orders_;  ///< without a keeper
  AgentOrders& orders_;
  std::optional<AgentSignals> signals_;  ///< without a keeper
  EventLoop::Source news_came_;          ///< of the keeper's
  std::optional<ManagerReports> reports_;
  const std::unique_ptr<KeptState> kept_state_;
  Containers containers_;
  std::optional<OrphanCleanup> cleanup_;
  std::optional<UpgradeDesk> upgrade_desk_;  ///< with a keeper
  std::optional<ControlServer> control_;
  std::optional<Reloader> reloader_;  ///< where there is a configuration
  Connections connections_;           ///< the oldest first
  /// Paused for a while after accept(2) ran out of something.
  EventLoop::Source runtimes_come_;
  bool told_of_accept_ = false;
};

}  // namespace shmvisor
