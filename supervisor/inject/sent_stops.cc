#include "supervisor/inject/sent_stops.h"

#include <algorithm>

#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

/// 0 for one that is gone.
pid_t process_of(pid_t tid) {
  const auto status = TaskStatus::read(tid);
  return status ? status->tgid : 0;
}

void erase_one(std::vector<pid_t>& all, pid_t one) {
  const auto found = std::ranges::find(all, one);
  if (found != all.end()) all.erase(found);
}

}  // namespace

SentStops& SentStops::all() {
  static SentStops* const stops = new SentStops;  // NOLINT: lost threads may come back at any time
  return *stops;
}

Result<SentStops::Guard> SentStops::send(const Tracee& tracee) {
  bool some_continued = false;
  {
    const MutexLock lock(mutex_);
    some_continued = !continued_.empty();
  }
  const pid_t process = some_continued ? process_of(tracee.tid()) : 0;
  const MutexLock lock(mutex_);
  // One that began just now may be the same.
  if (!continued_.empty() && (process == 0 || std::ranges::count(continued_, process) != 0)) {
    return Errno(EAGAIN);
  }
  guarded_.push_back(tracee.tid());
  if (const auto sent = tracee.send_stop(); !sent) {
    guarded_.pop_back();
    return sent.error();
  }
  return Guard(tracee.tid());
}

void SentStops::forget(pid_t tid) {
  const MutexLock lock(mutex_);
  erase_one(guarded_, tid);
}

std::optional<SentStops::Continuing> SentStops::Continuing::begin(pid_t process) {
  if (!all().begin_continuing(process)) return std::nullopt;
  return Continuing(process);
}

bool SentStops::begin_continuing(pid_t process) {
  std::vector<pid_t> others;
  {
    const MutexLock lock(mutex_);
    others = guarded_;
  }
  std::erase_if(others, [process](pid_t tid) { return process_of(tid) == process; });
  const MutexLock lock(mutex_);
  // Who was guarded since may be of the process.
  const bool is_free = std::ranges::all_of(
      guarded_, [&](pid_t tid) { return std::ranges::count(others, tid) != 0; });
  if (is_free) continued_.push_back(process);
  return is_free;
}

void SentStops::end_continuing(pid_t process) {
  const MutexLock lock(mutex_);
  erase_one(continued_, process);
}

}  // namespace shmvisor
