#include "supervisor/agent/containers.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "supervisor/audit/process_audit.h"
#include "supervisor/log/limited_log.h"

namespace shmvisor {
namespace {

/// Of one listener: who keeps its calls waiting keeps no more threads of ours. A container has one
/// listener, and one more for each `exec` into it, which is the operator's to do.
constexpr int kMostThreads = 64;
constexpr const char* kNoRoom = "there are as many containers as can be kept";

/// A listener that nobody serves yet, and perhaps nobody will: also an exception ends it then, and
/// its container with it where there is no other.
class NewListener {
 public:
  explicit NewListener(Container& container) : container_(container) {
    container_.listener_begins();
  }
  NewListener(const NewListener&) = delete;
  NewListener& operator=(const NewListener&) = delete;
  ~NewListener() {
    if (!served_) container_.listener_ends();
  }
  void is_served() { served_ = true; }

 private:
  Container& container_;
  bool served_ = false;
};

}  // namespace

Containers::Containers(EventLoop& loop, std::shared_ptr<SessionResources> resources,
                       const Limits& limits)
    : defaults_{limits, {}},
      resources_(std::move(resources)),
      upkeep_(loop, resources_),
      loop_(loop),
      pool_(loop) {}

void Containers::open_group(const std::string& name, JoinSocket socket) {
  ContainerMetadata metadata = defaults_;
  metadata.group = name;
  auto group = group_of(metadata);
  group->stay();
  auto commands = std::make_unique<JoinedCommands>(loop_, std::move(socket), group->session(),
                                                   group_title(name));
  open_groups_.push_back({std::move(group), std::move(commands)});
}

void Containers::look() {
  pool_.look();
  for (const OpenGroup& open : open_groups_) open.commands->look();
}

std::size_t Containers::joined() const {
  std::size_t count = 0;
  for (const OpenGroup& open : open_groups_) count += open.commands->count();
  return count;
}

std::optional<std::string> Containers::serve(const ContainerProcess& process,
                                             StrangersFile& listener, std::uint64_t connection) {
  const auto parsed = parse_container_metadata(process.metadata, defaults_);
  if (!parsed) return "its metadata: " + printable(parsed.error().reason);
  const ContainerMetadata& metadata = *parsed;
  pool_.look();  // so that one of the same id that has ended is gone
  auto container = find(process);
  if (container == nullptr) {
    container = make(process.container_id, metadata);
    if (container == nullptr) return kNoRoom;
  } else if (!same_settings(container->metadata(), metadata)) {
    log_limited(spdlog::level::warn, LogTopic::kContainers, LogLimiter::kNobody,
                "container {}: its metadata was another before, which stays",
                printable(container->name()));
  }
  NewListener begins(*container);
  container->take_in(process.pid);
  KeptListener* const kept = kept_ == nullptr ? nullptr : kept_->listeners.make();
  if (kept_ != nullptr && kept == nullptr) return kNoRoom;
  if (kept != nullptr) {
    kept->fd = listener.get();
    kept->container = kept_->containers.number_of(*container->kept());
    kept->pid = process.pid;
    kept->connection.store(connection);
  }
  // Before it is served, which wants no more memory then.
  const std::string shown = printable(container->name());
  if (const auto added = add(container, listener, kept); !added) {
    return std::string("no listener more: ") + std::strerror(added.error().value());
  }
  begins.is_served();
  if (kept != nullptr) {
    kept->state.store(KeptListener::kServed);
    container->kept()->state.store(KeptContainer::kServed);
    last_served_ = kept;
  }
  spdlog::info("container {}: process {} is served", shown, process.pid);
  tell_of_served(*container, process.pid);
  return std::nullopt;
}

Result<void> Containers::add(const std::shared_ptr<Container>& container, StrangersFile& listener,
                             KeptListener* kept, std::span<const CallSlots::Left> left) {
  // What a profile shows us of unshare(2) and setns(2) is not ours to say; and there may be very
  // many containers.
  ServerOptions options = container->group().session()->server_options();
  options.remembered = Remembered::kNothing;
  options.home = container->home();
  options.most_threads = kMostThreads;
  options.containers.push_back(container->name());
  if (container->name() != container->id()) options.containers.push_back(container->id());
  if (const std::string& group = container->metadata().group; !group.empty()) {
    options.containers.push_back(group_title(group));
  }
  ServerPool::Client client;
  auto wait_kind = WaitKind::kUnknown;
  if (kept != nullptr) {
    options.most_waiting_of_user = CallSlots::kMostWaitingOfUser;
    client.slots = &state_->slots();
    client.left = left;
    client.wait_kind = &kept->wait_kind;
    wait_kind = static_cast<WaitKind>(kept->wait_kind.load());
  }
  client.session = container->group().session();
  client.options = options;
  // Destroyed with all that serves the listener.
  const auto end = kept == nullptr ? nullptr : std::make_shared<KeptListenerEnd>(*kept);
  client.ended = [container, kept, end] {
    // Before it is closed.
    if (kept != nullptr) kept->state.store(KeptListener::kEnded);
    container->listener_ends();
  };
  return pool_.add(listener, wait_kind, std::move(client));
}

void Containers::tell_of_served(const Container& container, pid_t pid) {
  audit(AuditLog::kNobody, [&] {
    AuditRecord record("container");
    record.add("act", "served").add("container", container.name()).add("pid", pid);
    const std::string& group = container.metadata().group;
    if (!group.empty()) record.add("group", group);
    return record;
  });
}

void Containers::tell_of_ended(const std::string& name) {
  try {
    spdlog::info("container {} has ended", printable(name));
  } catch (const std::bad_alloc&) {  // only the line is missing
  }
  audit(AuditLog::kNobody, [&name] {
    return std::move(AuditRecord("container").add("act", "ended").add("container", name));
  });
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
  if (group == nullptr) return nullptr;
  Limits of_group = defaults_.limits;
  group->own_limits().apply_to(of_group);
  if (of_group != metadata.limits) {
    log_limited(spdlog::level::warn, LogTopic::kContainers, LogLimiter::kNobody,
                "container {}: its group '{}' has other limits already, which stay", printable(id),
                metadata.group);
  }
  const std::string name = free_name(id);
  KeptContainer* kept = nullptr;
  if (kept_ != nullptr) {
    kept = kept_->containers.make();
    if (kept == nullptr || !kept->name(id, name)) return nullptr;
    kept->session = group->session()->number();
    kept->made = ++containers_made_;
    kept->limits = metadata.limits;
    kept->own = metadata.own;
    kept->has_group = !metadata.group.empty();
  }
  auto container = std::make_shared<Container>(
      id, name, metadata, std::move(group), [this](const Container& ended) { forget(ended); },
      kept);
  if (container->name() != id) {
    spdlog::info("container {} is called {}: another one of that id is served still", printable(id),
                 printable(container->name()));
  }
  enter(container);
  return container;
}

void Containers::enter(const std::shared_ptr<Container>& container) {
  by_id_.emplace(container->id(), container);
  ++count_;
}

std::string Containers::free_name(const std::string& id) const {
  // As clients are shown it.
  const auto is_taken = [this](const std::string& name) {
    return name.starts_with(kGroupPrefix) || std::ranges::any_of(by_id_, [&name](const auto& one) {
             return printable(one.second->name()) == name;
           });
  };
  std::string name = id;
  for (int number = 2; is_taken(printable(name)); ++number) {
    name = (id.starts_with(kGroupPrefix) ? "id:" + id : id) + "#" + std::to_string(number);
  }
  return name;
}

std::shared_ptr<ContainerGroup> Containers::group_of(const ContainerMetadata& metadata) {
  const std::string& name = metadata.group;
  if (const auto known = by_name_.find(name); known != by_name_.end()) {
    if (auto group = known->second.lock()) return group;
  }
  auto group = make_group(metadata);
  if (group == nullptr) return nullptr;
  const auto& session = group->session();
  if (forces_rmid_) session->registries().initial()->set_rmid_forced(true);
  upkeep_.add(session);
  if (goes_on_) state_->observe(*session);
  if (!name.empty()) by_name_.insert_or_assign(name, group);
  return group;
}

std::shared_ptr<ContainerGroup> Containers::make_group(const ContainerMetadata& metadata) {
  const std::uint32_t number = ++sessions_made_;
  KeptSession* kept = nullptr;
  if (kept_ != nullptr) {
    // An open group has the same number in each server. Later ones have a new one.
    if (!goes_on_) {
      kept_->sessions.for_each([&](KeptSession& one) {
        if (one.state.load() == number) kept = &one;
      });
    }
    if (kept == nullptr) {
      kept = kept_->sessions.make();
      if (kept == nullptr) return nullptr;
      kept->limits = metadata.limits;
      metadata.group.copy(kept->group.data(), kept->group.size() - 1);
    }
  }
  return std::make_shared<ContainerGroup>(
      Session::of_others(resources_, kept == nullptr ? metadata.limits : kept->limits, number),
      metadata.own, kept);
}

void Containers::forget(const Container& container) {
  --count_;
  const auto [first, end] = by_id_.equal_range(container.id());
  const auto known =
      std::find_if(first, end, [&](const auto& one) { return one.second.get() == &container; });
  if (known != end) by_id_.erase(known);
  if (container.group().over()) by_name_.erase(container.metadata().group);
  tell_of_ended(container.name());
}

void Containers::steer(const Steering& steering) {
  const auto one = [&steering](ContainerGroup& group) { group.steer(steering); };
  for (const auto& [name, known] : by_name_) {
    if (const auto group = known.lock()) one(*group);
  }
  for (const auto& [id, container] : by_id_) {
    if (container->metadata().group.empty()) one(container->group());
  }
  // Last, since the others may throw.
  steering.limits.apply_to(defaults_.limits);
  if (kept_ != nullptr) kept_->note_defaults(defaults_.limits);
  resources_->steer(steering);
}

std::vector<NamedSession> Containers::sessions() const {
  std::vector<NamedSession> named;
  for (const auto& [name, known] : by_name_) {
    if (const auto group = known.lock()) named.push_back({group_title(name), group->session()});
  }
  for (const auto& [id, container] : by_id_) {
    if (container->metadata().group.empty()) {
      named.push_back({printable(container->name()), container->group().session()});
    }
  }
  return named;
}

bool Containers::drain(std::chrono::milliseconds bound) {
  bool drained = pool_.drain(bound);
  const auto deadline = EventLoop::Clock::now() + bound;
  for (const OpenGroup& open : open_groups_) {
    // Those that have ended are forgotten in the loop; those that live on keep what serves them.
    JoinedCommands& commands = *open.commands;
    if (commands.count() == 0) {
      (void)loop_.run_while([&commands] { return !commands.all_gone(); }, deadline);
    }
    drained = commands.drain() && drained;
  }
  return upkeep_.wait_for_end(bound) && drained;
}

void tell_of_lost_service(std::size_t containers) {
  if (containers == 0) return;
  const bool is_one = containers == 1;
  spdlog::warn("{} container{} lose{} service: {} shared memory calls fail with ENOSYS", containers,
               is_one ? "" : "s", is_one ? "s" : "", is_one ? "its" : "their");
}

}  // namespace shmvisor
