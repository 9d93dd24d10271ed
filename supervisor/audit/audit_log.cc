#include "supervisor/audit/audit_log.h"

#include <cerrno>
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
  State(std::unique_ptr<AuditOutput> its_output, AuditBacklog* its_backlog)
      : output(std::move(its_output)),
        backlog(its_backlog),
        lost(backlog == nullptr ? own_lost : backlog->lost),
        told(backlog == nullptr ? own_told : backlog->told) {}

  struct Entry {
    AuditRecord record;
    uid_t cause = kNobody;
  };

  using Clock = std::chrono::steady_clock;

  const std::unique_ptr<AuditOutput> output;  ///< the thread's
  AuditBacklog* const backlog;
  std::uint64_t own_lost = 0;  ///< without a backlog
  std::uint64_t own_told = 0;
  bool failing = false;  ///< the thread's: the last record was not taken
  mutable Mutex mutex;
  Condition came;
  Condition written;
  std::deque<Entry> queued GUARDED_BY(mutex);
  std::unordered_map<uid_t, std::size_t> queued_of GUARDED_BY(mutex);
  std::uint64_t added GUARDED_BY(mutex) = 0;
  std::uint64_t done GUARDED_BY(mutex) = 0;  ///< of those that were added: written, or lost
  std::uint64_t& lost GUARDED_BY(mutex);
  std::uint64_t& told GUARDED_BY(mutex);  ///< of those that were lost
  Allowances<uid_t> allowances GUARDED_BY(mutex){kRecordsAtOnce, kForOneMore};
  /// Nothing where nothing was left out since it was told.
  std::optional<Clock::time_point> tell_at GUARDED_BY(mutex);
  bool telling GUARDED_BY(mutex) = false;
  std::uint64_t being_told GUARDED_BY(mutex) = 0;  ///< records that were left out
  std::uint64_t given_up GUARDED_BY(mutex) = 0;    ///< not written when a flush gave up
  bool ending GUARDED_BY(mutex) = false;

  void work() noexcept;
  /// Has what a process that died has left.
  void take_over() REQUIRES(mutex);
  /// Leaves out the first one, where the process that died had just written it.
  void look_at_first() noexcept REQUIRES(mutex);
  /// False where there is no room for it. What throws has done nothing.
  bool enter(AuditRecord record, uid_t cause, bool is_new) REQUIRES(mutex);
  Entry take() REQUIRES(mutex);
  void end_first() REQUIRES(mutex);
  /// These release the mutex meanwhile. `records`: so many are lost where this one is.
  void write_or_lose(const AuditRecord& record, std::uint64_t records) REQUIRES(mutex);
  bool write(const AuditRecord& record) REQUIRES(mutex);
  void tell_of_left_out() noexcept REQUIRES(mutex);
  /// False where there is nothing to tell, or the output takes nothing.
  bool tell_of_loss() REQUIRES(mutex);

  /// Nobody waits any more: what waits or is being written is counted, what was left out is lost.
  void give_up() REQUIRES(mutex);

  /// Of the thread, without the mutex.
  void tell_of_output(const Result<void, std::string>& outcome);
};

void AuditLog::State::take_over() {
  if (backlog == nullptr) return;
  queued.clear();
  queued_of.clear();
  added = done = 0;
  for (AuditBacklog::Left& left : backlog->left()) {
    (void)enter(std::move(left.record), left.cause, /*is_new=*/false);
  }
}

void AuditLog::State::look_at_first() noexcept {
  const AuditMark* const mark = backlog == nullptr ? nullptr : backlog->mark_of_first();
  if (mark == nullptr || queued.empty()) return;
  const AuditRecord& first = queued.front().record;  // which stays: others only add behind it
  bool is_written = false;
  mutex.unlock();
  try {
    is_written = output->has(first, *mark);
  } catch (const std::exception&) {  // no memory, most likely: twice is better than never
  }
  mutex.lock();
  if (!is_written) return;
  (void)take();
  end_first();
}

bool AuditLog::State::enter(AuditRecord record, uid_t cause, bool is_new) {
  const auto its_user = queued_of.try_emplace(cause, 0).first;
  const std::size_t before = queued.size();
  bool entered = !is_new || within_fair_share(its_user->second, kMostRecords - before);
  try {
    if (entered) {
      queued.push_back({std::move(record), cause});
      entered = !is_new || backlog == nullptr || backlog->add(queued.back().record, cause);
      if (!entered) queued.pop_back();
    }
  } catch (...) {
    if (queued.size() != before) queued.pop_back();
    if (its_user->second == 0) queued_of.erase(its_user);
    throw;
  }
  if (entered) {
    ++its_user->second;
    ++added;
  }
  if (its_user->second == 0) queued_of.erase(its_user);
  return entered;
}

void AuditLog::State::give_up() {
  given_up = added - done + being_told;
  std::uint64_t left_out = 0;
  allowances.take_left_out([&](const uid_t*, std::uint64_t count) { left_out += count; });
  lost += left_out;
}

void AuditLog::State::end_first() {
  if (backlog != nullptr) backlog->first_is_over();
  ++done;
  written.notify_all();
}

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
    being_told = untold;
    for (const auto& [user, count] : counts) {
      AuditRecord record("left_out");
      if (user != kNobody) record.add("uid", user);
      record.add("records", count);
      untold -= count;
      write_or_lose(record, count);
      being_told -= count;
    }
  } catch (const std::bad_alloc&) {
    // Where nothing was taken yet it is told a second later.
    if (untold == 0) tell_at = Clock::now() + kBetweenTellings;
  }
  lost += untold;
  being_told = 0;
  telling = false;
  written.notify_all();
}

void AuditLog::State::work() noexcept {
  const MutexLock lock(mutex);
  look_at_first();
  for (;;) {
    if (tell_at && (ending || *tell_at <= Clock::now())) tell_of_left_out();
    if (!queued.empty()) {
      const Entry entry = take();
      if (backlog != nullptr) backlog->begin_first();
      write_or_lose(entry.record, 1);
      end_first();
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

AuditLog::AuditLog(std::unique_ptr<AuditOutput> output, AuditBacklog* backlog)
    : state_(std::make_shared<State>(std::move(output), backlog)) {
  if (backlog != nullptr) state_->output->note_in(&backlog->mark());
}

AuditLog::~AuditLog() {
  const MutexLock lock(state_->mutex);
  state_->ending = true;
  state_->came.notify_one();
}

Result<void> AuditLog::begin() {
  try {
    const MutexLock lock(state_->mutex);
    state_->take_over();
  } catch (const std::bad_alloc&) {
    return Errno(ENOMEM);
  }
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
    if (!state.enter(std::move(record), cause, /*is_new=*/true)) ++state.lost;
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
    if (is_told && state.done >= enough) {
      state.given_up = 0;
      return true;
    }
    if (!state.written.wait_until(state.mutex, deadline)) {
      state.give_up();
      return false;
    }
  }
}

std::uint64_t AuditLog::lost() const {
  const MutexLock lock(state_->mutex);
  return state_->lost + state_->given_up;
}

}  // namespace shmvisor
