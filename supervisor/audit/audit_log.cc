#include "supervisor/audit/audit_log.h"

#include <deque>
#include <new>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "policy/base/mutex.h"
#include "policy/limits/allowances.h"
#include "policy/limits/fair_share.h"
#include "supervisor/kernel/thread.h"
#include "supervisor/log/limited_log.h"

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

  using Clock = std::chrono::steady_clock;

  const std::unique_ptr<AuditOutput> output;  ///< the thread's
  bool failing = false;                       ///< the thread's: the last record was not taken
  mutable Mutex mutex;
  Condition came;
  Condition written;
  std::deque<Entry> queued GUARDED_BY(mutex);
  std::unordered_map<uid_t, std::size_t> queued_of GUARDED_BY(mutex);
  std::uint64_t added GUARDED_BY(mutex) = 0;
  std::uint64_t done GUARDED_BY(mutex) = 0;  ///< of those that were added: written, or lost
  std::uint64_t lost GUARDED_BY(mutex) = 0;
  std::uint64_t told GUARDED_BY(mutex) = 0;  ///< of those that were lost
  Allowances<uid_t> allowances GUARDED_BY(mutex){kRecordsAtOnce, kForOneMore};
  /// Nothing where nothing was left out since it was told.
  std::optional<Clock::time_point> tell_at GUARDED_BY(mutex);
  bool telling GUARDED_BY(mutex) = false;
  bool ending GUARDED_BY(mutex) = false;

  void work() noexcept;
  Entry take() REQUIRES(mutex);
  /// These release the mutex meanwhile. `records`: so many are lost where this one is.
  void write_or_lose(const AuditRecord& record, std::uint64_t records) REQUIRES(mutex);
  bool write(const AuditRecord& record) REQUIRES(mutex);
  void tell_of_left_out() noexcept REQUIRES(mutex);
  /// False where there is nothing to tell, or the output takes nothing.
  bool tell_of_loss() REQUIRES(mutex);

  /// Of the thread, without the mutex.
  void tell_of_output(const Result<void, std::string>& outcome);
};

AuditLog::State::Entry AuditLog::State::take() {
  Entry entry = std::move(queued.front());
  queued.pop_front();
  const auto its_user = queued_of.find(entry.cause);
  if (--its_user->second == 0) queued_of.erase(its_user);
  return entry;
}

/// A user may fill a disk and empty it again and again: so it is limited.
void AuditLog::State::tell_of_output(const Result<void, std::string>& outcome) {
  if (std::exchange(failing, !outcome.ok()) == !outcome.ok()) return;
  if (outcome.ok()) {
    log_limited(spdlog::level::warn, LogTopic::kAudit, LogLimiter::kNobody,
                "--audit: records are written again");
  } else {
    log_limited(spdlog::level::warn, LogTopic::kAudit, LogLimiter::kNobody,
                "--audit: records are lost: {}", outcome.error());
  }
}

bool AuditLog::State::write(const AuditRecord& record) {
  bool is_written = false;
  mutex.unlock();
  try {
    const auto outcome = output->write(record);
    is_written = outcome.ok();
    tell_of_output(outcome);
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

/// The loss in its place: before what came after it.
void AuditLog::State::write_or_lose(const AuditRecord& record, std::uint64_t records) {
  const bool takes_records = lost == told || tell_of_loss();
  if (!takes_records || !write(record)) lost += records;
}

void AuditLog::State::tell_of_left_out() noexcept {
  std::uint64_t untold = 0;
  telling = true;
  tell_at.reset();
  try {
    std::vector<std::pair<uid_t, std::uint64_t>> counts;
    counts.reserve(Allowances<uid_t>::kMost + 2);
    allowances.take_left_out([&](const uid_t* user, std::uint64_t count) {
      counts.emplace_back(user == nullptr ? kNobody : *user, count);
      untold += count;
    });
    for (const auto& [user, count] : counts) {
      AuditRecord record("left_out");
      if (user != kNobody) record.add("uid", user);
      record.add("records", count);
      untold -= count;
      write_or_lose(record, count);
    }
  } catch (const std::bad_alloc&) {
    // Where nothing was taken yet it is told a second later.
    if (untold == 0) tell_at = Clock::now() + kBetweenTellings;
  }
  lost += untold;
  telling = false;
  written.notify_all();
}

void AuditLog::State::work() noexcept {
  const MutexLock lock(mutex);
  for (;;) {
    if (tell_at && (ending || *tell_at <= Clock::now())) tell_of_left_out();
    if (!queued.empty()) {
      const Entry entry = take();
      write_or_lose(entry.record, 1);
      ++done;
      written.notify_all();
    } else if (ending) {
      return;
    } else if (tell_of_loss()) {
      continue;
    } else if (tell_at) {
      came.wait_until(mutex, *tell_at);
    } else {
      came.wait(mutex);  // where the output took nothing before, the next record tries again
    }
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

bool AuditLog::allows(uid_t cause) noexcept {
  if (cause == kNobody) return true;
  State& state = *state_;
  const auto now = State::Clock::now();
  const MutexLock lock(state.mutex);
  try {
    if (state.allowances.of(cause, kNobody, now).take()) return true;
    if (state.tell_at) return false;
    state.tell_at = now + kBetweenTellings;
  } catch (const std::bad_alloc&) {
    ++state.lost;
  }
  state.came.notify_one();
  return false;
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
  State& state = *state_;
  const MutexLock lock(state.mutex);
  const std::uint64_t enough = state.added;
  const auto now = State::Clock::now();
  if (state.tell_at) {
    state.tell_at = now;
    state.came.notify_one();
  }
  for (;;) {
    const bool is_told = !state.telling && (!state.tell_at || *state.tell_at > now);
    if (is_told && state.done >= enough) return true;
    if (!state.written.wait_until(state.mutex, deadline)) return false;
  }
}

std::uint64_t AuditLog::lost() const {
  const MutexLock lock(state_->mutex);
  return state_->lost;
}

}  // namespace shmvisor
