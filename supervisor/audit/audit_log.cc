#include "supervisor/audit/audit_log.h"

#include <deque>
#include <new>
#include <unordered_map>
#include <utility>

#include "policy/base/mutex.h"
#include "policy/limits/fair_share.h"
#include "supervisor/kernel/thread.h"

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = std::size_t{128} * 1024;

}  // namespace

struct AuditLog::State {
  explicit State(std::unique_ptr<AuditOutput> its_output) : output(std::move(its_output)) {}

  struct Entry {
    AuditRecord record;
    uid_t cause = kNobody;
  };

  const std::unique_ptr<AuditOutput> output;  ///< the thread's
  mutable Mutex mutex;
  Condition came;
  Condition written;
  std::deque<Entry> queued GUARDED_BY(mutex);
  std::unordered_map<uid_t, std::size_t> queued_of GUARDED_BY(mutex);
  std::uint64_t added GUARDED_BY(mutex) = 0;
  std::uint64_t done GUARDED_BY(mutex) = 0;  ///< of those that were added: written, or lost
  std::uint64_t lost GUARDED_BY(mutex) = 0;
  std::uint64_t told GUARDED_BY(mutex) = 0;  ///< of those that were lost
  bool ending GUARDED_BY(mutex) = false;

  void work() noexcept;
  Entry take() REQUIRES(mutex);
  /// Both release the mutex meanwhile.
  void write(const Entry& entry) REQUIRES(mutex);
  bool write(const AuditRecord& record) REQUIRES(mutex);
  /// False where there is nothing to tell, or the output takes nothing.
  bool tell_of_loss() REQUIRES(mutex);
};

AuditLog::State::Entry AuditLog::State::take() {
  Entry entry = std::move(queued.front());
  queued.pop_front();
  const auto its_user = queued_of.find(entry.cause);
  if (--its_user->second == 0) queued_of.erase(its_user);
  return entry;
}

bool AuditLog::State::write(const AuditRecord& record) {
  bool is_written = false;
  mutex.unlock();
  try {
    is_written = output->write(record);
  } catch (const std::exception&) {  // no memory, most likely
  }
  mutex.lock();
  return is_written;
}

bool AuditLog::State::tell_of_loss() {
  const std::uint64_t untold = lost - told;
  if (untold == 0) return false;
  try {
    AuditRecord record("lost");
    record.add("records", untold);
    if (!write(record)) return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
  told += untold;
  return true;
}

/// In its place: before what came after it.
void AuditLog::State::write(const Entry& entry) {
  if (lost != told && !tell_of_loss()) {
    ++lost;
  } else if (!write(entry.record)) {
    ++lost;
  }
}

void AuditLog::State::work() noexcept {
  const MutexLock lock(mutex);
  for (;;) {
    while (queued.empty() && !ending) {
      // Where the output took nothing before, the next record tries again.
      if (!tell_of_loss()) came.wait(mutex);
    }
    if (queued.empty()) return;
    const Entry entry = take();
    write(entry);
    ++done;
    written.notify_all();
  }
}

AuditLog::AuditLog(std::unique_ptr<AuditOutput> output)
    : state_(std::make_shared<State>(std::move(output))) {}

AuditLog::~AuditLog() {
  const MutexLock lock(state_->mutex);
  state_->ending = true;
  state_->came.notify_one();
}

Result<void> AuditLog::begin() {
  auto* const self = new (std::nothrow) std::shared_ptr<State>(state_);
  if (self == nullptr) return Errno(EAGAIN);
  const auto entry = [](void* made) -> void* {
    const std::unique_ptr<std::shared_ptr<State>> state(static_cast<std::shared_ptr<State>*>(made));
    (*state)->work();
    return nullptr;
  };
  auto started = start_detached(entry, self, kStackBytes);
  if (!started) delete self;
  return started;
}

void AuditLog::add(AuditRecord record, uid_t cause) noexcept {
  State& state = *state_;
  const MutexLock lock(state.mutex);
  try {
    std::size_t& its_own = state.queued_of[cause];
    if (within_fair_share(its_own, kMostRecords - state.queued.size())) {
      state.queued.push_back({std::move(record), cause});
      ++its_own;
      ++state.added;
    } else {
      ++state.lost;
    }
    if (its_own == 0) state.queued_of.erase(cause);
  } catch (const std::bad_alloc&) {
    ++state.lost;
  }
  state.came.notify_one();
}

void AuditLog::lose_one() noexcept {
  const MutexLock lock(state_->mutex);
  ++state_->lost;
  state_->came.notify_one();
}

bool AuditLog::flush(std::chrono::milliseconds bound) noexcept {
  const auto deadline = std::chrono::steady_clock::now() + bound;
  const MutexLock lock(state_->mutex);
  const std::uint64_t enough = state_->added;
  while (state_->done < enough && state_->written.wait_until(state_->mutex, deadline)) {
  }
  return state_->done >= enough;
}

std::uint64_t AuditLog::lost() const {
  const MutexLock lock(state_->mutex);
  return state_->lost;
}

}  // namespace shmvisor
