#include "emulation/shm/registries.h"

namespace shmvisor {

std::shared_ptr<Registry> Registries::of(IpcNamespaceId id) {
  const MutexLock lock(mutex_);
  if (const auto known = registries_.find(id); known != registries_.end()) return known->second;
  auto made = std::make_shared<Registry>(host_, files_, limits_, memory_policy_);
  if (user_limits_ != nullptr) made->change(SetUserLimits{user_limits_});
  observe(*made, id);
  tell_of_cleaned(*made, id);
  registries_.emplace(id, made);
  return made;
}

void Registries::observe(Registry& registry, IpcNamespaceId id) const {
  if (observers_ != nullptr) registry.observe(observers_->of(session_, id));
}

void Registries::observe(ChangeObservers& observers, std::uint32_t session) {
  const MutexLock lock(mutex_);
  observers_ = &observers;
  session_ = session;
  for (const auto& [id, registry] : registries_) observe(*registry, id);
}

void Registries::tell_of_cleaned(Registry& registry, IpcNamespaceId id) const {
  if (cleanup_observer_ == nullptr) return;
  registry.tell_of_cleaned(*cleanup_observer_, id == initial_ ? 0 : id);
}

void Registries::tell_of_cleaned(CleanupObserver& observer) {
  const MutexLock lock(mutex_);
  cleanup_observer_ = &observer;
  for (const auto& [id, registry] : registries_) tell_of_cleaned(*registry, id);
}

std::vector<std::shared_ptr<Registry>> Registries::all() const {
  const MutexLock lock(mutex_);
  std::vector<std::shared_ptr<Registry>> all;
  all.reserve(registries_.size());
  for (const auto& [id, registry] : registries_) all.push_back(registry);
  return all;
}

void Registries::set_user_limits(const std::shared_ptr<const UserLimits>& limits) {
  {
    const MutexLock lock(mutex_);
    user_limits_ = limits;
  }
  for (const auto& registry : all()) registry->change(SetUserLimits{limits});
}

void Registries::set_limits(const LimitSettings& settings) {
  {
    const MutexLock lock(mutex_);
    settings.apply_to(limits_);
  }
  for (const auto& registry : all()) registry->set_limits(settings);
}

void Registries::disown(const CreatorThread& creator) {
  // What it frees takes time, and so may the end of a registry that is forgotten meanwhile.
  for (const auto& registry : all()) registry->change(ForgetCreator{creator});
}

bool Registries::knows(IpcNamespaceId id) const {
  const MutexLock lock(mutex_);
  return registries_.contains(id);
}

std::vector<IpcNamespaceId> Registries::others() const {
  const MutexLock lock(mutex_);
  std::vector<IpcNamespaceId> ids;
  for (const auto& [id, registry] : registries_) {
    if (id != initial_) ids.push_back(id);
  }
  return ids;
}

std::shared_ptr<Registry> Registries::find(IpcNamespaceId id) const {
  const MutexLock lock(mutex_);
  const auto found = registries_.find(id);
  return found == registries_.end() ? nullptr : found->second;
}

std::shared_ptr<Registry> Registries::take(IpcNamespaceId id) {
  const MutexLock lock(mutex_);
  const auto found = registries_.find(id);
  if (found == registries_.end() || id == initial_) return nullptr;
  auto taken = std::move(found->second);
  registries_.erase(found);
  return taken;
}

bool Registries::forget(IpcNamespaceId id) {
  const auto registry = find(id);
  if (registry == nullptr) return true;
  if (id == initial_ || registry->anything_mapped()) return false;
  take(id);
  return true;
}

}  // namespace shmvisor
