// Container and ContainerGroup: which containers are served together, and for how long.
//
// A ContainerGroup is the containers that share a session; a container whose metadata names no
// group has one of its own. Where the containers of a group have different user namespaces none of
// them is root over the registry (IpcNamespaces). A Container is one container of a runtime. It has
// a listener for its first process and one for each `exec`, and ends with the last of them, and so
// with its last process. The group's segments are freed with its last container.
//
// Ownership: servers share the session and the home, which they may need a moment longer than the
// Container lives. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "policy/limits/container_metadata.h"
#include "policy/limits/limits.h"
#include "supervisor/agent/kept_containers.h"
#include "supervisor/namespaces/ipc_home.h"
#include "supervisor/scope/container_scope.h"
#include "supervisor/session/session.h"

namespace shmvisor {

class ContainerGroup {
 public:
  /// `own`: the limits that the containers' metadata set. `kept`: where the group is noted, which
  /// it is from now on, and its owner; null: nowhere.
  ContainerGroup(std::shared_ptr<Session> session, const LimitSettings& own, KeptSession* kept);
  ContainerGroup(const ContainerGroup&) = delete;
  ContainerGroup& operator=(const ContainerGroup&) = delete;
  ~ContainerGroup();

  [[nodiscard]] const std::shared_ptr<Session>& session() const { return session_; }
  [[nodiscard]] const LimitSettings& own_limits() const { return own_; }
  /// As it is noted. Precondition: it is.
  [[nodiscard]] std::string name() const { return kept_->group.data(); }
  /// Takes over limits and rules, but for its own limits.
  void steer(const Steering& steering);

  void add(std::shared_ptr<const ProcessScope> container);
  void remove(const ProcessScope* container);
  /// It is not over without containers.
  void stay() { ++containers_; }
  /// Whether no container is left.
  [[nodiscard]] bool over() const { return containers_ == 0; }

 private:
  const std::shared_ptr<Session> session_;
  const LimitSettings own_;
  KeptSession* const kept_;
  int containers_ = 0;
};

class Container {
 public:
  /// `name`: the id, or another one where a container of that id is there still. `ended` is called
  /// when the container has ended. `kept`: where it is noted from now on; null: nowhere.
  Container(std::string id, std::string name, const ContainerMetadata& metadata,
            std::shared_ptr<ContainerGroup> group, std::function<void(const Container&)> ended,
            KeptContainer* kept = nullptr);
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;
  ~Container() {
    be_kept_no_more();
    leave_group();
  }

  [[nodiscard]] const std::string& id() const { return id_; }
  /// What an operator calls it: no two have the same one.
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const ContainerMetadata& metadata() const { return metadata_; }
  [[nodiscard]] ContainerGroup& group() const { return *group_; }
  /// Where it is noted; null: nowhere.
  [[nodiscard]] KeptContainer* kept() const { return kept_; }

  /// It is what another process has noted of it. Instead of take_in().
  void come_back();

  /// Each is called once for every listener.
  void listener_begins();
  void listener_ends();

  /// `pid` is a process of the container; 0: of unknown pid.
  void take_in(pid_t pid);
  /// The IPC namespace in which its processes find the group's registry.
  [[nodiscard]] const std::shared_ptr<IpcHome>& home() const { return home_; }
  /// Whether `pid` may be a process of this container, and not of a later one with the same id.
  [[nodiscard]] bool may_hold(pid_t pid) const;

 private:
  void leave_group();
  void be_kept_no_more();

  const std::string id_;
  const std::string name_;
  const ContainerMetadata metadata_;
  const std::shared_ptr<ContainerGroup> group_;
  const std::function<void(const Container&)> ended_;
  const std::shared_ptr<ContainerScope> scope_;
  bool in_group_ = false;
  bool has_processes_ = false;
  const std::shared_ptr<IpcHome> home_ = std::make_shared<IpcHome>();
  KeptContainer* kept_;
  int listeners_ = 0;
};

}  // namespace shmvisor
