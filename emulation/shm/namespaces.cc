#include "emulation/shm/namespaces.h"

namespace shmvisor {

std::shared_ptr<Registry> Namespaces::of(IpcNamespaceId id) {
  const std::lock_guard lock(mutex_);
  auto& registry = registries_[id];
  if (registry == nullptr)
    registry = std::make_shared<Registry>(host_, files_, limits_, memory_policy_);
  return registry;
}

void Namespaces::disown(const CreatorThread& creator) {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, registry] : registries_) registry->disown(creator);
}

bool Namespaces::knows(IpcNamespaceId id) const {
  const std::lock_guard lock(mutex_);
  return registries_.contains(id);
}

std::vector<IpcNamespaceId> Namespaces::others() const {
  const std::lock_guard lock(mutex_);
  std::vector<IpcNamespaceId> ids;
  for (const auto& [id, registry] : registries_) {
    if (id != initial_) ids.push_back(id);
  }
  return ids;
}

bool Namespaces::forget(IpcNamespaceId id) {
  std::shared_ptr<Registry> gone;  // destroyed after the lock is released
  const std::lock_guard lock(mutex_);
  const auto found = registries_.find(id);
  if (found == registries_.end()) return true;
  if (id == initial_ || found->second->anything_mapped()) return false;
  gone = std::move(found->second);
  registries_.erase(found);
  return true;
}

}  // namespace shmvisor
