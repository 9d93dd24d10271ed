#include "supervisor/launch/kept_state.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "policy/base/unique_fd.h"
#include "supervisor/journal/state_restore.h"
#include "supervisor/kernel/fault_point.h"
#include "supervisor/kernel/file_inode.h"

namespace shmvisor {

KeptState::KeptState(const Kept& kept, journal::RecoveredState state)
    : page_(kept.page),
      visitors_(kept.visitors),
      state_(std::move(state)),
      journal_(kept.state, state_),
      slots_(kept.state, state_.decisions) {}

Result<std::unique_ptr<KeptState>, std::string> KeptState::read(const Kept* kept) {
  if (kept == nullptr) return std::unique_ptr<KeptState>();
  auto state = journal::read_state(kept->state);
  if (!state) return state.error();
  return std::unique_ptr<KeptState>(new KeptState(*kept, std::move(*state)));
}

Result<void, std::string> KeptState::bring_back(Session& session) {
  injections_.use(session.features());
  auto restored = restore_state(state_, session.number(), session.registries(), session.machine());
  if (!restored) return restored.error();
  if (visitors_ != nullptr) session.namespaces().take_back_owner(visitors_->owner_depth.load());
  fault_point("state_restored");
  std::vector<IpcNamespaceId> namespaces;
  // What is left is of segments that were being made, or were over, and of IPC namespaces.
  std::ranges::sort(restored->descriptors);
  page_.descriptors.for_each([&](int fd) {
    if (std::ranges::binary_search(restored->descriptors, fd)) return;
    UniqueFd left(fd);
    const IpcNamespaceId held = inode_of(left);
    // Kept all the time, or a death would lose it.
    const bool is_held = session.registries().find(held) != nullptr &&
                         session.namespaces().take_back(held, std::move(left));
    if (is_held) return namespaces.push_back(held);
    page_.descriptors.drop(fd);
  });
  session.registries().observe(journal_, session.number());
  fault_point("state_observed");
  end_unheld(session, namespaces);
  finish_restore(state_, session.number(), session.registries());
  if (!restored->locked.empty()) {
    (void)locking_.start([all = std::move(*restored)] { lock_again(all); });
  }
  return {};
}

void KeptState::end_unheld(Session& session, const std::vector<IpcNamespaceId>& held) const {
  for (const auto& [number, registry] : state_.registries) {
    const IpcNamespaceId id = registry.settings.ipc_namespace;
    if (registry.settings.session != session.number() || id == 0) continue;
    if (std::ranges::find(held, id) == held.end()) (void)session.registries().take(id);
  }
}

void KeptState::bring_back(ServedListener& served, JoinedCommands* joined) {
  if (page_.was_killed.load()) slots_.acquit();
  // Once: it counts deaths.
  const std::vector<CallSlots::Left> left = slots_.take_left();
  (void)served.begin_with(slots_, left);
  std::vector<int> listeners{served.listener().fd()};
  if (joined != nullptr) {
    joined->go_on_with(*visitors_, slots_, left);
    visitors_->for_each([&listeners](const KeptVisitor& visitor) {
      if (visitor.state.load() == KeptVisitor::kJoined) listeners.push_back(visitor.listener);
    });
  }
  for (const CallSlots::Left& call : left) {
    if (std::ranges::find(listeners, call.listener) != listeners.end()) continue;
    (void)slots_.leave(call.notification.id);
    slots_.forget(call.listener);
  }
  injections_.settle();
  fault_point("calls_back");
  if (!left.empty()) spdlog::debug("{} calls were under way", left.size());
}

}  // namespace shmvisor
