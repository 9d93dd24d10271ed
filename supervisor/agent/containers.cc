#include "supervisor/agent/containers.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "supervisor/log/limited_log.h"

namespace shmvisor {
namespace {

using Clock = EventLoop::Clock;

constexpr std::chrono::milliseconds kBetweenLooks(1000);
/// With what one look left undone.
constexpr std::chrono::milliseconds kBeforeGoingOn(5);
/// Of one listener: who keeps its calls waiting keeps no more threads of ours. A container has one
/// listener, and one more for each `exec` into it, which is the operator's to do.
constexpr int kMostThreads = 64;

}  // namespace

Containers::Containers(EventLoop& loop, KernelFeatures& features, const Limits& limits)
    : features_(features),
      defaults_{limits, {}},
      resources_(features),
      plan_(DescriptorPlan::of_this_process()),
      descriptors_(plan_),
      budget_(plan_.calls_at_once),
      some_released_(
          loop.watch(resources_.release_events.fd(), POLLIN, [this](short) { settle(); })),
      look_again_(loop.timer([this] { look_after_groups(); })),
      need_begins_(loop,
                   [this] {
                     settle();
                     expect_look();
                   }),
      pool_(loop, features_) {}

std::optional<std::string> Containers::serve(const ContainerProcess& process, UniqueFd listener) {
  const auto parsed = parse_container_metadata(process.metadata, defaults_);
  if (const auto* bad = std::get_if<BadMetadata>(&parsed)) {
    return "its metadata: " + printable(bad->reason);
  }
  const auto& metadata = *std::get_if<ContainerMetadata>(&parsed);
  pool_.look();  // so that one of the same id that has ended is gone
  auto container = find(process);
  if (container == nullptr) {
    container = make(process.container_id, metadata);
  } else if (container->metadata() != metadata) {
    log_limited(spdlog::level::warn, LogTopic::kContainers, LogLimiter::kNobody,
                "container {}: its metadata was another before, which stays",
                printable(process.container_id));
  }
  container->take_in(process.pid);
  // What a profile shows us of unshare(2) and setns(2) is not ours to say; and there may be very
  // many containers.
  const ServerOptions options{.remembered = Remembered::kNothing,
                              .home = container->home(),
                              .most_threads = kMostThreads,
                              .budget = &budget_,
                              .payer_group = container->group().number()};
  container->listener_begins();
  const auto added = pool_.add(std::move(listener), WaitKind::kUnknown,
                               {.namespaces = {container, &container->group().ipc_namespaces()},
                                .options = options,
                                .ended = [container] { container->listener_ends(); }});
  if (!added) {
    container->listener_ends();
    return std::string("no listener more: ") + std::strerror(added.error().value());
  }
  spdlog::info("container {}: process {} is served", printable(process.container_id), process.pid);
  return std::nullopt;
}

std::shared_ptr<Container> Containers::find(const ContainerProcess& process) const {
  const auto [first, end] = by_id_.equal_range(process.container_id);
  for (auto known = end; known != first;) {
    --known;
    if (known->second->may_hold(process.pid)) return known->second;
  }
  return nullptr;
}

std::shared_ptr<Container> Containers::make(const std::string& id,
                                            const ContainerMetadata& metadata) {
  auto group = group_of(metadata);
  if (group->limits() != metadata.limits) {
    log_limited(spdlog::level::warn, LogTopic::kContainers, LogLimiter::kNobody,
                "container {}: its group '{}' has other limits already, which stay", printable(id),
                metadata.group);
  }
  auto container = std::make_shared<Container>(id, metadata, std::move(group),
                                               [this](const Container& ended) { forget(ended); });
  by_id_.emplace(id, container);
  ++count_;
  return container;
}

std::shared_ptr<ContainerGroup> Containers::group_of(const ContainerMetadata& metadata) {
  const std::string& name = metadata.group;
  if (const auto known = by_name_.find(name); known != by_name_.end()) return known->second;
  const auto end = [this](ContainerGroup* group) {
    groups_.erase(group);
    delete group;
  };
  std::shared_ptr<ContainerGroup> group(
      new ContainerGroup(resources_, descriptors_, metadata.limits, ++groups_made_), end);
  group->tell_of_need(need_begins_.nudger());
  groups_.emplace(group.get(), group);
  if (!name.empty()) by_name_.insert_or_assign(name, group);
  return group;
}

void Containers::forget(const Container& container) {
  spdlog::info("container {} has ended", printable(container.id()));
  --count_;
  const auto [first, end] = by_id_.equal_range(container.id());
  const auto known =
      std::find_if(first, end, [&](const auto& one) { return one.second.get() == &container; });
  if (known != end) by_id_.erase(known);
  if (container.group().over()) by_name_.erase(container.metadata().group);
}

void Containers::settle() {
  resources_.release_events.pump();
  bool some_left = false;
  for (const auto& [group, owned] : groups_) some_left = group->settle_if_released() || some_left;
  if (some_left) look_again_.set_by(Clock::now() + kBeforeGoingOn);
}

void Containers::expect_look() { look_again_.set_by(Clock::now() + kBetweenLooks); }

void Containers::look_after_groups() {
  settle();
  if (looking_.running()) return expect_look();
  // Not within clear(), which the end of a group may come back to.
  const auto looked_after = std::exchange(looked_after_, {});
  for (const auto& [group, owned] : groups_) {
    if (!group->needs_looking_after()) continue;
    if (auto shared = owned.lock()) looked_after_.push_back(std::move(shared));
  }
  if (looked_after_.empty()) return;
  expect_look();
  const auto look = [this] {
    for (const auto& group : looked_after_) group->look_after();
  };
  if (!looking_.start(look)) looked_after_.clear();  // no thread: another time
}

bool Containers::drain(std::chrono::milliseconds bound) {
  const bool drained = pool_.drain(bound);
  for (const auto& [group, owned] : groups_) group->ipc_namespaces().stop_sweeping();
  return drained && looking_.wait_for_end(bound);
}

}  // namespace shmvisor
