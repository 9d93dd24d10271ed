// Containers: all containers that the agent serves, by id and by group. All that is known of them
// is here.
//
// With a keeper all that is known is noted (KeptContainers), and the next server serves them on.
//
// Ownership: borrows the loop, in which it runs, and what is kept; shares the resources; may be
// destroyed once drain() has succeeded, as ServerPool. Thread rule: one thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "policy/base/unique_fd.h"
#include "policy/limits/container_metadata.h"
#include "supervisor/agent/container.h"
#include "supervisor/agent/container_process.h"
#include "supervisor/control/named_registry.h"
#include "supervisor/join/join_socket.h"
#include "supervisor/join/joined_commands.h"
#include "supervisor/launch/kept_state.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/session/server_pool.h"
#include "supervisor/session/upkeep.h"

namespace shmvisor {

class Containers {
 public:
  /// `limits`: of a container whose metadata sets none.
  Containers(EventLoop& loop, std::shared_ptr<SessionResources> resources, const Limits& limits);

  /// Notes all there for the next server. Before all else.
  void keep_in(KeptState& state, KeptContainers& kept);
  /// Goes on with what another process has noted, and with the calls that it left. `visitors`: of
  /// the open groups, in their order. Once all groups are open, before anybody is served, and also
  /// where there was no other process. Errors: a clause that follows "the state".
  Result<void, std::string> go_on(std::span<KeptVisitors* const> visitors);

  /// Serves the process from now on; otherwise answers one clause that says why not. `connection`:
  /// the inode of the one that brought it.
  std::optional<std::string> serve(const ContainerProcess& process, StrangersFile& listener,
                                   std::uint64_t connection = 0);
  /// Whether the message of that connection was served already, by a process that died before it
  /// could close it. Once.
  [[nodiscard]] bool has_served(std::uint64_t connection);
  /// The connection of whom serve() has served last is closed; or those of all.
  void forget_last_connection() {
    if (last_served_ != nullptr) std::exchange(last_served_, nullptr)->connection.store(0);
  }
  void forget_connections();

  /// kernel.shm_rmid_forced is set for containers that are made from now on.
  void force_rmid() { forces_rmid_ = true; }
  /// Commands of the host may join this group at `socket`. It is there from now on, with or without
  /// containers, and has the limits that containers without metadata have.
  void open_group(const std::string& name, JoinSocket socket);
  /// Such commands that are served.
  [[nodiscard]] std::size_t joined() const;

  /// Whether listeners can be watched at all. Precondition of all else.
  [[nodiscard]] bool valid() const { return pool_.valid(); }
  /// Removes at once those that have ended.
  void look();
  /// Containers that are served.
  [[nodiscard]] std::size_t count() const { return count_; }
  /// Of each group and of each container without one, by the names that NamedSession says.
  [[nodiscard]] std::vector<NamedSession> sessions() const;
  /// Takes over limits and rules: those of metadata stay. May throw std::bad_alloc; to be repeated
  /// then.
  void steer(const Steering& steering);
  /// What all containers share.
  [[nodiscard]] SessionResources& resources() { return *resources_; }
  /// See ServerPool.
  bool drain(std::chrono::milliseconds bound);

 private:
  [[nodiscard]] std::shared_ptr<Container> find(const ContainerProcess& process) const;
  std::shared_ptr<Container> make(const std::string& id, const ContainerMetadata& metadata);
  /// These two answer null where it cannot be noted.
  std::shared_ptr<ContainerGroup> group_of(const ContainerMetadata& metadata);
  std::shared_ptr<ContainerGroup> make_group(const ContainerMetadata& metadata);
  void enter(const std::shared_ptr<Container>& container);
  /// Serves one more listener of the container.
  Result<void> add(const std::shared_ptr<Container>& container, StrangersFile& listener,
                   KeptListener* kept, std::span<const CallSlots::Left> left = {});
  static void tell_of_served(const Container& container, pid_t pid);
  static void tell_of_ended(const std::string& name);

  // Of go_on():
  class Return;
  /// For a new container of that id.
  [[nodiscard]] std::string free_name(const std::string& id) const;
  void forget(const Container& container);

  ContainerMetadata defaults_;
  const std::shared_ptr<SessionResources> resources_;
  Upkeep upkeep_;
  KeptState* state_ = nullptr;  ///< these two: null without a keeper
  KeptContainers* kept_ = nullptr;
  bool goes_on_ = false;  ///< sessions that are made from now on note their changes
  std::uint32_t sessions_made_ = 0;
  std::uint64_t containers_made_ = 0;
  KeptListener* last_served_ = nullptr;
  bool forces_rmid_ = false;
  std::size_t count_ = 0;
  /// Containers that have not ended. Two have the same id where a runtime reused it early; the
  /// later one is behind.
  std::multimap<std::string, std::shared_ptr<Container>> by_id_;
  /// Kept by their containers.
  std::unordered_map<std::string, std::weak_ptr<ContainerGroup>> by_name_;
  /// A group that commands of the host may join.
  struct OpenGroup {
    std::shared_ptr<ContainerGroup> group;
    std::unique_ptr<JoinedCommands> commands;
  };
  EventLoop& loop_;
  std::vector<OpenGroup> open_groups_;
  /// Last, because its servers use all of the above.
  ServerPool pool_;
};

/// Warns of so many containers that nobody serves from now on; of none says nothing.
void tell_of_lost_service(std::size_t containers);

}  // namespace shmvisor
