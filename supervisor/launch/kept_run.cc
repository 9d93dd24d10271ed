#include "supervisor/launch/kept_run.h"

#include <cstdint>
#include <functional>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/keeper/kept_store.h"
#include "supervisor/keeper/program_exec.h"
#include "supervisor/launch/end_child.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/init_loop.h"
#include "supervisor/launch/left_clones.h"
#include "supervisor/launch/resumed_state.h"
#include "supervisor/launch/server_keeper.h"
#include "supervisor/launch/upgrader.h"
#include "supervisor/log/process_log.h"
#include "supervisor/scope/descendant_scope.h"

namespace shmvisor {
namespace {

class Keeper {
 public:
  /// `serve`: in the server. Answers its exit status.
  Keeper(const Launched& launched, std::function<int()> serve)
      : launched_(launched),
        page_(launched.kept->page),
        below_(launched.features),
        init_(loop_, launched.command.pid(), launched.group, launched.options.signal_group,
              launched.inherited.watched(), below_),
        // The witness's: until it is dismissed.
        left_(loop_),
        servers_(loop_, *launched.kept, plan(std::move(serve)), prepared().witness_fd()),
        upgrader_(loop_, *launched.kept, servers_, upgrading()) {}

  int run() {
    if (!init_.valid() || !servers_.valid()) go_back("its descriptors cannot be listed");
    if (!init_.valid()) return exit_status::kOwnFailure;
    if (!servers_.valid()) {
      return launched_.give_up({exit_status::kOwnFailure,
                                "--keeper: its descriptors cannot be listed; raise RLIMIT_NOFILE"});
    }
    stay_with_program();
    servers_.start();
    init_.look();
    (void)loop_.run_while([this] { return !servers_.status(); });
    if (page_.gave_up.load()) {
      end_child(launched_.command.pid());  // unless it is reaped
      launched_.group.leave(launched_.command.pid());
    }
    flush_process_log();
    servers_.close_what_is_left();
    return servers_.status().value_or(exit_status::kOwnFailure);
  }

 private:
  InitLoop& prepared() {
    if (const int status = page_.command_status.load(); status != KeeperPage::kNone) {
      init_.begin_ended(status);  // before this program began
    } else {
      launched_.prepare(init_);
    }
    init_.tell([this] { tell_server(); });
    return init_;
  }

  ServerKeeper::Plan plan(std::function<int()> serve) {
    ServerKeeper::Plan plan;
    plan.most_deaths = launched_.options.keeper_deaths;
    plan.first_must_last = !launched_.options.restore_path.empty();
    plan.serve = std::move(serve);
    plan.started = [this](pid_t server) {
      below_.leave_out(server);
      init_.watch_child(server, [this](const siginfo_t& end) { servers_.see_end(end); });
    };
    if (KeptVisitors* const visitors = launched_.kept->visitors) {
      plan.name_kept = [visitors](std::vector<int>& all) { visitors->list_descriptors(all); };
      plan.most_named = KeptVisitors::kMostDescriptors;
    }
    plan.keeps = [this](int fd) { return fd == init_.witness_fd(); };
    return plan;
  }

  Upgrader::Keeper upgrading() {
    return {
        .watch_child =
            [this](pid_t pid, std::function<void(const siginfo_t&)> ended) {
              init_.watch_child(pid, std::move(ended));
            },
        .not_now =
            [this] {
              forget_closed();
              return std::string(page_.command_runs.load() ? "" : "the command does not run yet");
            },
        .leave =
            [this] {
              forget_closed();
              init_.leave();
            },
        .stay =
            [this] {
              if (!init_.status()) launched_.prepare(init_);
            }};
  }

  /// A connection that is over may be closed, and its number another file's.
  void forget_closed() {
    if (page_.fuse.is_over.load()) KeptStore::ours().forget_descriptor(kept_run::kConnection);
  }

  void tell_server() {
    if (const auto& status = init_.status()) page_.command_status.store(*status);
    if (init_.told_to_end()) page_.told_to_end.store(true);
    launched_.kept->tell();
  }

  const Launched& launched_;
  KeeperPage& page_;
  EventLoop loop_;
  DescendantScope below_;
  InitLoop init_;
  const LeftClones left_;
  ServerKeeper servers_;
  Upgrader upgrader_;
};

/// What another program needs to go on.
void note(const Launched& launched, const UniqueFd& listener,
          const std::optional<JoinSocket>& socket, const ServingRun::Groundwork& groundwork) {
  KeptStore& store = KeptStore::ours();
  const RunOptions& options = launched.options;
  store.note(kept_run::kCommand, launched.command.pid());
  store.note_text(kept_run::kCommandName, options.command.front());
  store.note_text(kept_run::kName, options.control.name);
  store.note_descriptor(kept_run::kListener, listener.get());
  store.note(kept_run::kWaitKind, static_cast<std::int64_t>(launched.command.wait_kind()));
  store.note(kept_run::kOwnGroup, options.own_group ? 1 : 0);
  store.note(kept_run::kSignalGroup, options.signal_group ? 1 : 0);
  if (const int files = launched.command.connection_fd(); files >= 0) {
    store.note_descriptor(kept_run::kConnection, files);
  }
  if (!store.descriptor(kept_run::kIpcNamespace)) {
    // Held until the end.
    UniqueFd its = launched.command.ipc_namespace();
    if (its.valid()) store.note_descriptor(kept_run::kIpcNamespace, its.release());
  }
  if (launched.parent) store.note(kept_run::kParentPid, launched.parent->parent());
  if (launched.parent && launched.parent->fd() >= 0) {
    store.note_descriptor(kept_run::kParent, launched.parent->fd());
  }
  if (socket) note_socket(kept_run::kJoinSocket, socket->fd(), socket->file());
  if (groundwork.control) {
    note_socket(kept_run::kControlSocket, groundwork.control->fd(), groundwork.control->file());
  }
}

}  // namespace

int run_kept(const Launched& launched, UniqueFd listener, std::optional<JoinSocket> socket,
             ServingRun::Groundwork groundwork) {
  if (!KeptStore::ours().resumes()) {
    if (const auto failure = ServingRun::open_control_socket(launched.options, groundwork)) {
      return launched.give_up(*failure);
    }
  }
  note(launched, listener, socket, groundwork);
  // Each server has the same one, whose IPC namespace is held open here.
  ServingRun::Groundwork same = ServingRun::complete(launched, std::move(groundwork));
  flush_process_log();  // or each server would write these lines, too
  Keeper keeper(launched, [&] {
    return ServingRun(launched, std::move(listener), std::move(socket), std::move(same)).run();
  });
  return keeper.run();
}

}  // namespace shmvisor
