#include "supervisor/memory/lock_keeper.h"

#include <cstddef>
#include <utility>
#include <vector>

#include "supervisor/kernel/thread.h"
#include "supervisor/log/limited_log.h"

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = std::size_t{256} * 1024;

}  // namespace

LockKeeper::~LockKeeper() {
  {
    const MutexLock lock(state_->mutex);
    state_->over = true;
  }
  state_->changed.notify_all();
}

void LockKeeper::add(const void* owner, Renewal renewal) {
  auto entry = std::make_shared<const Renewal>(std::move(renewal));
  {
    const MutexLock lock(state_->mutex);
    state_->renewals.insert_or_assign(owner, std::move(entry));
    if (!state_->runs) start();
  }
  state_->changed.notify_all();
}

void LockKeeper::remove(const void* owner) {
  Entry removed;  // destroyed without the mutex: it may own a large mapping
  {
    const MutexLock lock(state_->mutex);
    const auto known = state_->renewals.find(owner);
    if (known == state_->renewals.end()) return;
    removed = std::move(known->second);
    state_->renewals.erase(known);
  }
  state_->changed.notify_all();
}

void LockKeeper::start() {
  auto argument = std::make_unique<std::shared_ptr<State>>(state_);
  if (const auto started = start_detached(&run, argument.get(), kStackBytes); !started) {
    log_limited(spdlog::level::info, LogTopic::kLocking, LogLimiter::kNobody,
                "SHM_LOCK: pages touched later may be swapped: errno {}", started.error().value());
    return;
  }
  (void)argument.release();  // the thread's
  state_->runs = true;
}

void* LockKeeper::run(void* state) {
  const std::unique_ptr<std::shared_ptr<State>> owned(static_cast<std::shared_ptr<State>*>(state));
  State& self = **owned;
  const MutexLock lock(self.mutex);
  while (!self.over && !self.renewals.empty()) {
    const auto deadline = std::chrono::steady_clock::now() + self.period;
    while (!self.over && !self.renewals.empty() && self.changed.wait_until(self.mutex, deadline)) {
    }
    if (!self.over) renew_all(self);
  }
  self.runs = false;
  return nullptr;
}

void LockKeeper::renew_all(State& state) {
  std::vector<const void*> owners;
  owners.reserve(state.renewals.size());
  for (const auto& [owner, renewal] : state.renewals) owners.push_back(owner);
  for (const void* const owner : owners) {
    const auto known = state.renewals.find(owner);
    if (state.over) return;
    if (known == state.renewals.end()) continue;
    Entry renewal = known->second;
    state.mutex.unlock();
    const bool more = (*renewal)();
    state.mutex.lock();
    const auto now = state.renewals.find(owner);
    const bool is_same = now != state.renewals.end() && now->second == renewal;
    if (!more && is_same) state.renewals.erase(now);
    state.mutex.unlock();
    renewal.reset();
    state.mutex.lock();
  }
}

}  // namespace shmvisor
