#include "supervisor/agent/kept_agent.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>

#include "supervisor/keeper/kept_store.h"
#include "supervisor/keeper/program_exec.h"
#include "supervisor/kernel/event_descriptor.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/launch/left_clones.h"
#include "supervisor/launch/resumed_state.h"
#include "supervisor/launch/server_keeper.h"
#include "supervisor/launch/upgrader.h"
#include "supervisor/log/process_log.h"
#include "supervisor/session/end_process.h"

namespace shmvisor {
namespace {

UniqueFd open_child_signals() {
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &children, nullptr);
  return UniqueFd(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
}

Result<Agent::Shared, std::string> share(const std::vector<std::string>& open_groups,
                                         KernelFeatures& features) {
  auto kept = prepare_keeper(features, false);
  if (!kept) return kept.error();
  auto* const orders = KeptStore::ours().object<AgentOrders>("orders");
  KeptContainers* const containers = KeptContainers::create();
  const int ready = event_descriptor("ready");
  std::vector<KeptVisitors*> visitors;
  for (const std::string& group : open_groups) visitors.push_back(KeptVisitors::create(group));
  const bool all_visitors = std::ranges::find(visitors, nullptr) == visitors.end();
  if (orders == nullptr || containers == nullptr || ready < 0 || !all_visitors) {
    const std::string& trouble = KeptStore::ours().trouble();
    return trouble.empty() ? std::string("cannot begin: ") + std::strerror(errno) : trouble;
  }
  return Agent::Shared{*kept, *orders, *containers, std::move(visitors), ready};
}

class AgentKeeper {
 public:
  AgentKeeper(const AgentOptions& options, const Agent::Shared& shared,
              const ListeningSocket& socket, const ServiceManager& manager,
              std::function<int()> serve)
      : shared_(shared),
        socket_(socket),
        reports_(loop_, manager),
        signals_(
            loop_, shared.orders, [this] { hand_on(); }, [this] { upgrader_.ask(); }),
        child_signals_(open_child_signals()),
        children_changed_(loop_.watch(child_signals_.get(), POLLIN, [this](short) { reap(); })),
        serves_(loop_.watch(shared.ready, POLLIN, [this](short) { hear_server(); })),
        left_(loop_),
        servers_(loop_, shared.kept, plan(options, std::move(serve))),
        upgrader_(loop_, shared.kept, servers_,
                  {.watch_child = [this](pid_t pid, std::function<void(const siginfo_t&)> ended) {
                    others_.emplace_back(pid, std::move(ended));
                  }}) {}

  int run() {
    if (!signals_.valid() || !child_signals_.valid() || !servers_.valid()) {
      go_back("signalfd(2) is refused, or descriptors cannot be listed");
      spdlog::critical("--keeper: signalfd(2) is refused, or descriptors cannot be listed");
      return exit_status::kOwnFailure;
    }
    stay_with_program();
    servers_.start();
    reap();  // children whose signal another program has read
    (void)loop_.run_while([this] { return !servers_.status(); });
    if (shared_.kept.page.status.load() == KeeperPage::kNone) tell_who_loses_service();
    flush_process_log();
    over_ = true;
    servers_.close_what_is_left();
    return servers_.status().value_or(exit_status::kOwnFailure);
  }

 private:
  ServerKeeper::Plan plan(const AgentOptions& options, std::function<int()> serve) {
    ServerKeeper::Plan plan;
    plan.most_deaths = options.keeper_deaths;
    plan.serve = std::move(serve);
    plan.started = [this](pid_t server) { server_ = server; };
    plan.name_kept = [this](std::vector<int>& all) {
      shared_.containers.list_descriptors(all);
      for (KeptVisitors* const visitors : shared_.visitors) visitors->list_descriptors(all);
    };
    plan.most_named =
        KeptContainers::kMostDescriptors + shared_.visitors.size() * KeptVisitors::kMostDescriptors;
    // A message that was not served by then.
    plan.keeps = [this](int fd) { return !over_ && socket_.has_accepted(fd); };
    return plan;
  }

  void hand_on() {
    if (shared_.orders.end.load()) reports_.stopping();
    shared_.kept.tell();
  }

  void hear_server() {
    take_news(shared_.ready);
    if (!std::exchange(told_ready_, true) && !shared_.orders.end.load()) reports_.ready();
  }

  /// As PID 1 it has the children of those who died, too.
  void reap() {
    signalfd_siginfo info{};
    while (::read(child_signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    }
    siginfo_t ended{};
    while (::waitid(P_ALL, 0, &ended, WEXITED | WNOHANG) == 0 && ended.si_pid != 0) {
      const bool is_server = ended.si_pid == server_;
      if (is_server) servers_.see_end(ended);
      const auto other = std::ranges::find(others_, ended.si_pid, &OtherChild::first);
      if (other != others_.end()) {
        const auto told = std::move(other->second);
        others_.erase(other);
        told(ended);
      }
      ended = {};
    }
  }

  void tell_who_loses_service() {
    std::size_t count = 0;
    shared_.containers.containers.for_each([&count](const KeptContainer&) { ++count; });
    tell_of_lost_service(count);
  }

  const Agent::Shared& shared_;
  const ListeningSocket& socket_;
  EventLoop loop_;
  ManagerReports reports_;
  AgentSignals signals_;
  const UniqueFd child_signals_;
  const EventLoop::Source children_changed_;
  const EventLoop::Source serves_;
  pid_t server_ = 0;
  bool told_ready_ = false;
  bool over_ = false;
  using OtherChild = std::pair<pid_t, std::function<void(const siginfo_t&)>>;
  std::vector<OtherChild> others_;
  const LeftClones left_;
  ServerKeeper servers_;
  Upgrader upgrader_;
};

/// What another program needs to go on.
void note(const AgentOptions& options, const Agent::Groundwork& groundwork,
          const ServiceManager& manager) {
  KeptStore& store = KeptStore::ours();
  note_socket(kept_agent::kSocket, groundwork.socket.fd(), groundwork.socket.file());
  store.note_text(kept_agent::kManager, manager.address());
  store.note_text(kept_agent::kName, options.control.name);
  for (const Agent::Groundwork::OpenGroup& open : groundwork.open_groups) {
    note_socket(kept_agent::kGroup + open.name, open.socket.fd(), open.socket.file());
  }
  if (groundwork.control) {
    note_socket(kept_agent::kControlSocket, groundwork.control->fd(), groundwork.control->file());
  }
}

/// Where this program is a next one: why it cannot go on; empty where it can.
std::string why_not(const Agent::Shared& shared, KernelFeatures& features) {
  return KeptStore::ours().resumes() ? why_not_go_on(shared.kept, features) : std::string();
}

}  // namespace

Result<Agent::Shared, std::string> share_kept_agent(const AgentOptions& options,
                                                    KernelFeatures& features) {
  std::vector<std::string> groups;
  for (const GroupSocket& group : options.open_groups) groups.push_back(group.group);
  auto shared = share(groups, features);
  if (!shared) return shared;
  if (std::string why = why_not(*shared, features); !why.empty()) return why;
  return shared;
}

int run_kept_agent(const AgentOptions& options, Agent::Groundwork groundwork,
                   const Agent::Shared& shared, const ServiceManager& manager) {
  note(options, groundwork, manager);
  flush_process_log();  // or each server would write these lines, too
  AgentKeeper keeper(options, shared, groundwork.socket, manager, [&] {
    Agent agent(options, std::move(groundwork), manager, &shared);
    const Agent::Ending ending = agent.run();
    shared.kept.page.status.store(ending.status);
    end_process_at_once(ending.status);  // what is left the keeper closes with its end
    return ending.status;
  });
  const int status = keeper.run();
  if (shared.kept.page.status.load() != KeeperPage::kNone) {
    // The server has removed the other sockets' files, and another agent may have made its own.
    groundwork.socket.remove();
    end_process_at_once(status);
  }
  return status;
}

}  // namespace shmvisor
