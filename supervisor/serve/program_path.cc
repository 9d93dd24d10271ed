#include "supervisor/serve/program_path.h"

#include <unistd.h>

#include <array>
#include <climits>
#include <memory>
#include <utility>

#include "policy/base/held_locks.h"
#include "policy/base/mutex.h"
#include "supervisor/credentials/borrowed_identity.h"

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPatience(1000);

struct Reading {
  Mutex mutex;
  Condition ended;
  bool over GUARDED_BY(mutex) = false;
  bool lost GUARDED_BY(mutex) = false;
  std::optional<std::string> path GUARDED_BY(mutex);
};

Result<std::string> read_link(pid_t tid) {
  std::array<char, PATH_MAX> path{};
  const ssize_t length = ::readlink(proc_path(tid, "exe").c_str(), path.data(), path.size());
  if (length < 0) return Errno::current();
  return std::string(path.data(), static_cast<std::size_t>(length));
}

std::optional<std::string> read_path(pid_t tid) {
  constexpr std::string_view kDeleted = " (deleted)";
  auto read = with_identity_of(tid, kToRead, [tid] { return read_link(tid); });
  if (!read) return std::nullopt;
  if (read->ends_with(kDeleted)) read->resize(read->size() - kDeleted.size());
  return std::move(*read);
}

}  // namespace

std::optional<std::string> program_path(pid_t tid, const LosableThreads::Payer& payer) {
  HeldLocks::assert_may_wait();
  LosableThreads& threads = LosableThreads::all();
  if (!threads.may_lose(payer)) return std::nullopt;
  const auto reading = std::make_shared<Reading>();
  const auto task = [reading, tid, payer] {
    std::optional<std::string> path;
    try {
      path = read_path(tid);
    } catch (const std::exception&) {  // no memory: it cannot be told
    }
    MutexLock lock(reading->mutex);
    reading->path = std::move(path);
    reading->over = true;
    reading->ended.notify_all();
    const bool was_lost = reading->lost;
    lock.unlock();
    if (was_lost) LosableThreads::all().come_back(payer);
  };
  if (!threads.run(task, kPatience)) return std::nullopt;
  const auto deadline = Clock::now() + kPatience;
  MutexLock lock(reading->mutex);
  while (!reading->over && reading->ended.wait_until(reading->mutex, deadline)) {
  }
  if (reading->over) return reading->path;
  lock.unlock();
  // The thread is counted as lost before it can come back.
  threads.lose(payer);
  lock.lock();
  if (!reading->over) {
    reading->lost = true;
    return std::nullopt;
  }
  auto path = reading->path;
  lock.unlock();
  threads.come_back(payer);
  return path;
}

}  // namespace shmvisor
