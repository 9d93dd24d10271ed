// How Containers goes on with what a server that died has noted.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "supervisor/agent/containers.h"
#include "supervisor/notify/listener.h"

namespace shmvisor {

/// One return, of all that is noted. Containers are known by their numbers in the table.
class Containers::Return {
 public:
  explicit Return(Containers& containers) : all_(containers), kept_(*containers.kept_) {}

  /// Makes the sessions and containers that there were, of those that are not over.
  void make() {
    find_listeners();
    make_sessions();
    make_containers();
  }

  /// Those that note their changes from now on.
  [[nodiscard]] std::vector<Session*> sessions() const {
    std::vector<Session*> sessions;
    sessions.reserve(groups_.size());
    for (const auto& [number, group] : groups_) sessions.push_back(group->session().get());
    return sessions;
  }

  void serve(std::span<const CallSlots::Left> left) {
    for (const auto& [container, noted] : listeners_)
      serve(containers_.at(container), *noted, left);
  }

 private:
  void find_listeners() {
    std::set<std::uint32_t> served;
    kept_.listeners.for_each([&](KeptListener& one) {
      if (one.state.load() == KeptListener::kEnded) return one.state.store(KeptListener::kFree);
      const KeptContainer* const container = kept_.containers.find(one.container);
      UniqueFd listener(one.fd);
      const bool is_ours = container != nullptr && is_seccomp_listener(listener);
      (void)listener.release();
      if (is_ours) {
        served.insert(one.container);
        listeners_.emplace_back(one.container, &one);
        return;
      }
      one.state.store(KeptListener::kFree);
      spdlog::error(
          "a process of a container is not served any more: its listener is another file");
    });
    kept_.containers.for_each([&](KeptContainer& one) {
      const std::uint32_t number = kept_.containers.number_of(one);
      if (served.contains(number)) {
        one.state.store(KeptContainer::kServed);
        noted_.push_back(&one);
        return;
      }
      const UniqueFd home(one.home.file.load());
      const bool has_ended = one.state.load() == KeptContainer::kServed;
      const std::string name = one.called();
      one.state.store(KeptContainer::kFree);
      if (has_ended) tell_of_ended(name);
    });
    std::ranges::sort(noted_, {}, &KeptContainer::made);
  }

  void make_sessions() {
    for (const auto& open : all_.open_groups_) {
      groups_.emplace(open.group->session()->number(), open.group);
    }
    std::set<std::uint32_t> wanted;
    for (const KeptContainer* const one : noted_) wanted.insert(one->session);
    kept_.sessions.for_each([&](KeptSession& one) {
      const std::uint32_t number = one.state.load();
      all_.sessions_made_ = std::max(all_.sessions_made_, number);
      if (groups_.contains(number)) return;
      if (!wanted.contains(number)) {
        const UniqueFd owner(one.owner.told.load() ? one.owner.file.load() : -1);
        one.state.store(0);
        return;
      }
      const auto session = Session::of_others(all_.resources_, one.limits, number);
      all_.upkeep_.add(session);
      const auto group = std::make_shared<ContainerGroup>(session, LimitSettings(one.own), &one);
      groups_.emplace(number, group);
      if (const std::string name = one.group.data(); !name.empty()) {
        all_.by_name_.insert_or_assign(name, group);
      }
    });
  }

  void make_containers() {
    for (KeptContainer* const one : noted_) {
      all_.containers_made_ = std::max(all_.containers_made_, one->made);
      const auto group = groups_.at(one->session);
      ContainerMetadata metadata{one->limits, {}, one->own};
      if (one->has_group) metadata.group = group->name();
      const auto container = std::make_shared<Container>(
          one->id(), one->called(), metadata, group,
          [all = &all_](const Container& ended) { all->forget(ended); }, one);
      container->come_back();
      all_.enter(container);
      containers_.emplace(kept_.containers.number_of(*one), container);
    }
  }

  void serve(const std::shared_ptr<Container>& container, KeptListener& noted,
             std::span<const CallSlots::Left> left) {
    container->listener_begins();
    StrangersFile listener = StrangersFile::of(UniqueFd(noted.fd));
    if (all_.add(container, listener, &noted, left)) return;
    spdlog::error(
        "a process of container {} is not served any more: its listener cannot be watched",
        printable(container->name()));
    container->listener_ends();
  }

  Containers& all_;
  KeptContainers& kept_;
  std::vector<std::pair<std::uint32_t, KeptListener*>> listeners_;
  std::vector<KeptContainer*> noted_;
  std::map<std::uint32_t, std::shared_ptr<ContainerGroup>> groups_;  ///< by session
  std::map<std::uint32_t, std::shared_ptr<Container>> containers_;
};

void Containers::keep_in(KeptState& state, KeptContainers& kept) {
  state_ = &state;
  kept_ = &kept;
  if (kept.has_defaults.load()) defaults_.limits = kept.defaults;
}

Result<void, std::string> Containers::go_on(std::span<KeptVisitors* const> visitors) {
  Return back(*this);
  back.make();
  const std::vector<Session*> sessions = back.sessions();
  if (auto done = state_->bring_back(sessions); !done) return done.error();
  goes_on_ = true;
  const std::vector<CallSlots::Left> left = state_->take_calls();
  back.serve(left);
  std::vector<int> listeners;
  for (std::size_t i = 0; i < open_groups_.size(); ++i) {
    open_groups_[i].commands->go_on_with(*visitors[i], state_->slots(), left);
    visitors[i]->list_listeners(listeners);
  }
  kept_->listeners.for_each([&](const KeptListener& one) {
    if (one.state.load() == KeptListener::kServed) listeners.push_back(one.fd);
  });
  state_->forget_others(left, listeners);
  return {};
}

void Containers::forget_connections() {
  last_served_ = nullptr;
  if (kept_ == nullptr) return;
  kept_->listeners.for_each([](KeptListener& one) { one.connection.store(0); });
}

bool Containers::has_served(std::uint64_t connection) {
  bool served = false;
  if (kept_ == nullptr) return false;
  kept_->listeners.for_each([&](KeptListener& one) {
    if (connection == 0 || one.connection.load() != connection) return;
    served = true;
    one.connection.store(0);
    const KeptContainer* const container = kept_->containers.find(one.container);
    if (container == nullptr) return;
    const auto [first, end] = by_id_.equal_range(container->id());
    const auto known =
        std::find_if(first, end, [&](const auto& its) { return its.second->kept() == container; });
    if (known != end) tell_of_served(*known->second, one.pid);  // which may not have been told
  });
  return served;
}

}  // namespace shmvisor
