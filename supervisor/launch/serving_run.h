// ServingRun: a run whose command's calls are served here, and perhaps those of commands that join.
//
// Ownership: its members are all that a serving run owns; they are destroyed in the reverse of
// their order, once every thread that uses them has ended. Where another process blocks such a
// thread, the process ends without destroying them: end_process.h. Borrows the launched command.
// Thread rule: the main thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "policy/base/unique_fd.h"
#include "supervisor/audit/audit_record.h"
#include "supervisor/control/control_server.h"
#include "supervisor/join/join_socket.h"
#include "supervisor/join/joined_commands.h"
#include "supervisor/launch/command_watch.h"
#include "supervisor/launch/kept_state.h"
#include "supervisor/launch/last_process.h"
#include "supervisor/launch/launched.h"
#include "supervisor/launch/other_descendants.h"
#include "supervisor/launch/side_client.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/procfiles/proc_file_system.h"
#include "supervisor/procfiles/sysctl_covers.h"
#include "supervisor/session/orphan_cleanup.h"
#include "supervisor/session/reloader.h"
#include "supervisor/session/served_listener.h"
#include "supervisor/session/session.h"
#include "supervisor/session/upkeep.h"

namespace shmvisor {

class ServingRun {
 public:
  /// What does not depend on the command, and can be there before it has its filter.
  struct Groundwork {
    std::shared_ptr<SessionResources> resources;
    std::shared_ptr<Session> session;  ///< null where the command's IPC namespace is to be its own
    std::optional<ControlSocket> control = {};  ///< where it is open already
  };
  static Groundwork lay_groundwork(const RunOptions& options, KernelFeatures& features);
  /// Makes the session, where there is none yet.
  static Groundwork complete(const Launched& launched, Groundwork groundwork);
  /// Where the options ask for one. Once.
  static std::optional<Failure> open_control_socket(const RunOptions& options,
                                                    Groundwork& groundwork);

  /// `socket`: where others may join.
  ServingRun(const Launched& launched, UniqueFd listener, std::optional<JoinSocket> socket,
             Groundwork groundwork);
  ServingRun(const ServingRun&) = delete;
  ServingRun& operator=(const ServingRun&) = delete;

  /// Serves until the command has ended, or longer where the options say so. Called once. Answers
  /// the exit status.
  int run();

 private:
  /// Null where the command has no files of ours in /proc.
  std::unique_ptr<ProcFileSystem> serve_files();
  std::unique_ptr<CommandWatch> watch_command();
  [[nodiscard]] ServerOptions server_options();
  /// Has the session as the last server left it.
  std::shared_ptr<Session> bring_back(std::shared_ptr<Session> session);
  /// Whoever asks for it has the configuration read again.
  void prepare_reloads(const std::shared_ptr<Session>& session);
  std::optional<Failure> start();
  /// Serves an operator's clients, and our own, where there are to be any.
  std::optional<Failure> open_control();
  /// Whether no process of the command, or of those that joined, is left.
  [[nodiscard]] bool all_gone() const;
  bool end_serving();
  /// The only client from now on, which no signal for the command's descendants reaches.
  void take_in_alone(SideClient& client);
  void print_report(const std::string& output);
  /// Whether the registry is in its file now.
  bool save_registry();
  struct End {
    int status = 0;      ///< the exit status that results
    bool whole = false;  ///< no other process blocks a thread
  };
  /// Stops serving, saves the registry where that is wanted, and lets clients have what there is.
  End end(int status);
  [[nodiscard]] AuditRecord record_of_command(const char* event) const;

  const Launched& launched_;
  EventLoop loop_;
  Groundwork groundwork_;  ///< what is not taken yet
  const std::unique_ptr<KeptState> kept_state_;
  const std::shared_ptr<SessionResources> resources_;
  Upkeep upkeep_;
  const std::optional<std::string> audit_trouble_;
  std::optional<Reloader> reloader_;
  const std::shared_ptr<Session> session_;
  const SysctlCovers covers_;
  const std::unique_ptr<ProcFileSystem> files_;
  ServedListener served_;
  LastProcess last_process_;  ///< under the command's filter
  std::optional<JoinedCommands> joined_;
  std::optional<OrphanCleanup> cleanup_;
  std::optional<UpgradeDesk> upgrade_desk_;
  std::optional<ControlServer> control_;
  std::optional<SideClient> tracer_;
  OtherDescendants below_;
  const std::unique_ptr<CommandWatch> watch_;
  bool to_be_saved_ = false;  ///< at the end
};

}  // namespace shmvisor
