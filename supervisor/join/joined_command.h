// JoinedCommands::Joined: a command that has joined. Included by what JoinedCommands is made of.
//
// Ownership: as said of its members. Thread rule: the main thread.
#pragma once

#include <memory>
#include <optional>

#include "supervisor/join/joined_commands.h"
#include "supervisor/procfiles/proc_file_system.h"
#include "supervisor/procfiles/sysctl_covers.h"

namespace shmvisor {

/// A process whose descendants are looked at as long as this lives.
class JoinedCommands::Root {
 public:
  Root(SupervisedScope& scope, const SupervisedScope::Root& root)
      : scope_(scope), id_(scope.add_root(root)) {}
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;
  ~Root() { scope_.remove_root(id_); }

 private:
  SupervisedScope& scope_;
  const SupervisedScope::RootId id_;
};

struct JoinedCommands::Joined {
  explicit Joined(uid_t its_payer) : payer(its_payer) {}

  /// The last process under its filter has ended.
  void end() {
    // Before the listener is closed.
    if (kept != nullptr) kept->state.store(KeptVisitor::kEnded);
    ended = true;
    ended_at = Clock::now();
  }

  const uid_t payer;
  /// Where it is noted for the next server; null: nowhere. What has a descriptor that is named
  /// there is a member of this.
  KeptVisitor* kept = nullptr;
  /// Held open, so that our end can be seen.
  StrangersFile connection;
  DescriptorShare::Part descriptors;
  bool ended = false;  ///< its last process
  Clock::time_point ended_at;
  std::optional<Root> root;
  std::shared_ptr<IpcHome> home;
  std::shared_ptr<const SysctlCovers> covers;
  /// Where its /proc has files of ours.
  std::unique_ptr<ProcFileSystem> files;
};

}  // namespace shmvisor
