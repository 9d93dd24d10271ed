#include "supervisor/launch/kept_run.h"

#include <functional>
#include <new>
#include <utility>
#include <vector>

#include "supervisor/launch/end_child.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/init_loop.h"
#include "supervisor/launch/server_keeper.h"
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
        servers_(loop_, *launched.kept, plan(std::move(serve)), prepared().witness_fd()) {}

  int run() {
    if (!init_.valid()) return exit_status::kOwnFailure;
    if (!servers_.valid()) {
      return launched_.give_up({exit_status::kOwnFailure,
                                "--keeper: its descriptors cannot be listed; raise RLIMIT_NOFILE"});
    }
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
    launched_.prepare(init_);
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
  ServerKeeper servers_;
};

}  // namespace

int run_kept(const Launched& launched, UniqueFd listener, std::optional<JoinSocket> socket,
             ServingRun::Groundwork groundwork) {
  if (const auto failure = ServingRun::open_control_socket(launched.options, groundwork)) {
    return launched.give_up(*failure);
  }
  // Each server has the same one, whose IPC namespace is held open here.
  ServingRun::Groundwork same = ServingRun::complete(launched, std::move(groundwork));
  flush_process_log();  // or each server would write these lines, too
  Keeper keeper(launched, [&] {
    return ServingRun(launched, std::move(listener), std::move(socket), std::move(same)).run();
  });
  return keeper.run();
}

}  // namespace shmvisor
