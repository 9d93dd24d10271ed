#include "supervisor/resources/last_closes.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <new>
#include <span>
#include <utility>

#include "policy/limits/fair_share.h"
#include "supervisor/kernel/thread.h"

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kStackBytes = std::size_t{64} * 1024;
constexpr std::size_t kMostOfAProcess = ClosingProcess::kMostFiles;
/// Where there is no process to be had.
constexpr std::chrono::milliseconds kBeforeTryingAgain(50);
constexpr std::chrono::milliseconds kYoung(20);
constexpr std::chrono::milliseconds kOld(5000);

}  // namespace

LastCloses& LastCloses::all() {
  static LastCloses* const made = new LastCloses;  // NOLINT
  return *made;
}

void LastCloses::add(Files& file) noexcept {
  const MutexLock lock(mutex_);
  if (!file.front().is_paid) ++unpaid_;
  waiting_.splice(waiting_.end(), file);
  // Where there is no thread they wait for the next one that comes.
  if (!works_) works_ = start_detached(work_on, this, kStackBytes).ok();
  changed_.notify_all();
}

std::size_t LastCloses::unpaid() const {
  const MutexLock lock(mutex_);
  return unpaid_;
}

void LastCloses::forget_shares() {
  const MutexLock lock(mutex_);
  // Until the child has its copies, or is given up (ClosingProcess::kReadyBound). No close is
  // waited for: should the child be killed just then, ours might be the last.
  while (has_shares_) {
    (void)changed_.wait_until(mutex_, Clock::now() + ClosingProcess::kReadyBound);
  }
  for (File& file : waiting_) {
    if (!std::exchange(file.is_paid, false)) continue;
    file.part = {};
    ++unpaid_;
  }
}

void LastCloses::begin_end() {
  const MutexLock lock(mutex_);
  ends_ = true;
  changed_.notify_all();
}

bool LastCloses::hand_over_all(std::chrono::milliseconds bound) {
  begin_end();
  return wait_until_taken(bound);
}

bool LastCloses::wait_until_taken(std::chrono::milliseconds bound) {
  const auto deadline = Clock::now() + bound;
  const MutexLock lock(mutex_);
  while (closes_ || !waiting_.empty()) {
    if (!changed_.wait_until(mutex_, deadline)) break;
  }
  return !closes_ && waiting_.empty();
}

void* LastCloses::work_on(void* self) {
  static_cast<LastCloses*>(self)->work();
  return nullptr;
}

void LastCloses::work() noexcept {
  MutexLock lock(mutex_);
  for (;;) {
    lock.unlock();
    look_at_children();
    lock.lock();
    Files batch = take_batch();
    if (!batch.empty()) {
      closes_ = true;
      has_shares_ = true;
      lock.unlock();
      const bool closed = close(batch);
      lock.lock();
      closes_ = false;
      has_shares_ = false;
      waiting_.splice(waiting_.begin(), batch);
      unpaid_ = static_cast<std::size_t>(std::ranges::count(waiting_, false, &File::is_paid));
      changed_.notify_all();
      if (closed) continue;
    } else if (waiting_.empty() && children_.empty()) {
      works_ = false;
      return;
    }
    (void)changed_.wait_until(mutex_, Clock::now() + pause());
  }
}

bool LastCloses::may_begin(uid_t payer) const {
  if (ends_) return true;
  const auto all = static_cast<int>(children_.size());
  const auto own = static_cast<int>(std::ranges::count(children_, payer, &Child::payer));
  return own < kMostOfOne && within_fair_share(own, kMostProcesses - all);
}

LastCloses::Files LastCloses::take_batch() {
  Files batch;
  const auto first = std::ranges::find_if(
      waiting_,
      [this](const File& file) NO_THREAD_SAFETY_ANALYSIS { return may_begin(file.payer); });
  if (first == waiting_.end()) return batch;
  const uid_t payer = first->payer;
  const std::size_t most =
      ends_ ? std::min(1 + waiting_.size() / kMostAtEnd, kMostOfAProcess) : kMostOfAProcess;
  for (auto next = first; next != waiting_.end() && batch.size() < most;) {
    const auto file = next++;
    if (file->payer == payer || ends_) batch.splice(batch.end(), waiting_, file);
  }
  return batch;
}

bool LastCloses::close(Files& batch) {
  std::array<int, ClosingProcess::kMostFiles> files{};
  std::ranges::transform(batch, files.begin(), [](const File& file) { return file.fd.get(); });
  const std::span<int> sorted = std::span(files).first(batch.size());
  std::ranges::sort(sorted);
  std::list<Child> begun;
  try {
    begun.emplace_back();
  } catch (const std::bad_alloc&) {
    return false;
  }
  Child& child = begun.front();
  child.payer = batch.front().payer;
  child.process = ClosingProcess::begin(sorted, ClosingProcess::Memory::kOurs);
  if (child.process == nullptr) return false;
  children_.splice(children_.end(), begun);
  if (!child.process->wait_until_ready(ClosingProcess::kReadyBound)) {
    child.process->kill();
    child.is_killed = true;
    return false;
  }
  for (File& file : batch) static_cast<void>(file.fd.release());
  {
    const MutexLock lock(mutex_);
    batch.clear();
    has_shares_ = false;
    changed_.notify_all();
  }
  child.process->close_ours();
  return true;
}

void LastCloses::look_at_children() {
  std::erase_if(children_, [](const Child& child) { return child.process->gone(); });
  const auto now = Clock::now();
  for (Child& child : children_) {
    if (child.is_killed || now < child.process->since() + ClosingProcess::kCloseBound) continue;
    child.process->kill();
    child.is_killed = true;
  }
}

std::chrono::milliseconds LastCloses::pause() const {
  if (children_.empty()) return kBeforeTryingAgain;
  const auto age = Clock::now() - children_.back().process->since();
  if (age < kYoung) return std::chrono::milliseconds(1);
  return std::chrono::milliseconds(age < kOld ? 20 : 200);
}

}  // namespace shmvisor
