#include "supervisor/launch/kept_state.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "policy/base/unique_fd.h"
#include "supervisor/journal/state_restore.h"
#include "supervisor/kernel/file_inode.h"
#include "supervisor/launch/exit_status.h"
#include "supervisor/session/end_process.h"

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
  if (visitors_ != nullptr) session.namespaces().keep_owner_in(&visitors_->owner);
  Session* const only = &session;
  return bring_back(std::span(&only, 1));
}

Result<void, std::string> KeptState::bring_back(std::span<Session* const> sessions) {
  RestoredState all;
  for (Session* const session : sessions) {
    auto restored =
        restore_state(state_, session->number(), session->registries(), session->machine());
    if (!restored) return restored.error();
    std::ranges::copy(restored->descriptors, std::back_inserter(all.descriptors));
    std::ranges::move(restored->locked, std::back_inserter(all.locked));
  }
  std::vector<Held> held;
  // What is left is of segments that were being made, or were over, and of IPC namespaces.
  std::ranges::sort(all.descriptors);
  page_.descriptors.for_each([&](int fd) {
    if (std::ranges::binary_search(all.descriptors, fd)) return;
    // Kept all the time, or a death would lose it.
    UniqueFd left(fd);
    if (!hold_again(sessions, left, held)) page_.descriptors.drop(fd);
  });
  for (Session* const session : sessions) observe(*session);
  for (Session* const session : sessions) {
    end_unheld(*session, held);
    finish_restore(state_, session->number(), session->registries());
  }
  journal_.end_unobserved();
  if (!all.locked.empty()) {
    (void)locking_.start([all = std::move(all)] { lock_again(all); });
  }
  return {};
}

bool KeptState::hold_again(std::span<Session* const> sessions, UniqueFd& left,
                           std::vector<Held>& held) {
  const IpcNamespaceId id = inode_of(left);
  for (Session* const session : sessions) {
    const Held one{session, id};
    if (session->registries().find(id) == nullptr || std::ranges::find(held, one) != held.end()) {
      continue;
    }
    if (!session->namespaces().take_back(id, std::move(left))) return false;
    held.push_back(one);
    return true;
  }
  return false;
}

void KeptState::end_unheld(Session& session, const std::vector<Held>& held) const {
  for (const auto& [number, registry] : state_.registries) {
    const IpcNamespaceId id = registry.settings.ipc_namespace;
    if (registry.settings.session != session.number() || id == 0) continue;
    if (std::ranges::find(held, Held{&session, id}) == held.end()) {
      (void)session.registries().take(id);
    }
  }
}

void KeptState::bring_back(ServedListener& served, JoinedCommands* joined) {
  const std::vector<CallSlots::Left> left = take_calls();
  (void)served.begin_with(slots_, left);
  std::vector<int> listeners{served.listener().fd()};
  if (joined != nullptr) {
    joined->go_on_with(*visitors_, slots_, left);
    visitors_->list_listeners(listeners);
  }
  forget_others(left, listeners);
}

std::vector<CallSlots::Left> KeptState::take_calls() {
  if (page_.was_killed.load()) slots_.acquit();
  return slots_.take_left();
}

void KeptState::forget_others(const std::vector<CallSlots::Left>& left,
                              const std::vector<int>& listeners) {
  for (const CallSlots::Left& call : left) {
    if (std::ranges::find(listeners, call.listener) == listeners.end()) {
      slots_.forget(call.listener);
    }
  }
  if (!left.empty()) spdlog::debug("{} calls were under way", left.size());
}

void give_up_state(const Kept& kept, const std::string& why) {
  spdlog::critical("the state {}: no other server is started", why);
  kept.page.lost.store(true);
  end_process_at_once(exit_status::kOwnFailure);
}

std::unique_ptr<KeptState> read_or_give_up(const Kept* kept) {
  auto state = KeptState::read(kept);
  if (!state) give_up_state(*kept, state.error());
  return std::move(*state);
}

}  // namespace shmvisor
