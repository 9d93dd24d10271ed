// One caller, few segments: what each of the four calls takes.
#include <sys/ipc.h>

#include "integration/bench/worker/shm_calls.h"
#include "integration/bench/worker/timing.h"
#include "integration/bench/worker/worker.h"

namespace shmvisor {
namespace {

constexpr key_t kKey = 0x5eed;
constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kMiB = 1 << 20;

double shmget_existing(const WorkerSettings& settings) {
  const ShmCalls calls(settings.cooperate);
  const BenchSegment segment(calls, kKey, kPageBytes);
  return time_each(settings.budget, [&calls] { (void)calls.get(kKey, kPageBytes); });
}

double create_remove(const WorkerSettings& settings) {
  const ShmCalls calls(settings.cooperate);
  return time_each(settings.budget, [&calls] { calls.remove(calls.get(IPC_PRIVATE, kPageBytes)); });
}

double stat_unattached(const WorkerSettings& settings) {
  const ShmCalls calls(settings.cooperate);
  const BenchSegment segment(calls, kKey, kPageBytes);
  return time_each(settings.budget, [&] { (void)calls.stat(segment.id()); });
}

double shmat_alone(const WorkerSettings& settings) {
  const ShmCalls calls(settings.cooperate);
  const BenchSegment segment(calls, kKey, kPageBytes);
  return time_part(settings.budget, [&segment] {
    const auto start = WorkerClock::now();
    void* const address = segment.attach();
    const double taken_ns = nanoseconds_since(start);
    segment.detach(address);
    return taken_ns;
  });
}

double shmdt_alone(const WorkerSettings& settings) {
  const ShmCalls calls(settings.cooperate);
  const BenchSegment segment(calls, kKey, kPageBytes);
  return time_part(settings.budget, [&segment] {
    void* const address = segment.attach();
    const auto start = WorkerClock::now();
    segment.detach(address);
    return nanoseconds_since(start);
  });
}

double attach_detach(const WorkerSettings& settings, std::size_t size_bytes) {
  const ShmCalls calls(settings.cooperate);
  const BenchSegment segment(calls, kKey, size_bytes);
  return time_each(settings.budget, [&segment] { segment.detach(segment.attach()); });
}

/// What a program attaches for; who maps lazily pays here.
double attach_touch_detach(const WorkerSettings& settings) {
  const ShmCalls calls(settings.cooperate);
  const BenchSegment segment(calls, kKey, kPageBytes);
  return time_each(settings.budget, [&segment] {
    void* const address = segment.attach();
    *static_cast<volatile char*>(address) = 1;
    segment.detach(address);
  });
}

WorkerFunction attach_detach_of(std::size_t size_bytes) {
  return one_number(
      [size_bytes](const WorkerSettings& settings) { return attach_detach(settings, size_bytes); });
}

}  // namespace

void add_shm_calls(WorkerTable& table) {
  table["shmget"] = one_number(shmget_existing);
  table["create-remove"] = one_number(create_remove);
  table["stat-unattached"] = one_number(stat_unattached);
  table["shmat"] = one_number(shmat_alone);
  table["shmdt"] = one_number(shmdt_alone);
  table["attach-touch-detach"] = one_number(attach_touch_detach);
  table["attach-detach-4K"] = attach_detach_of(kPageBytes);
  table["attach-detach-64M"] = attach_detach_of(64 * kMiB);
  table["attach-detach-1G"] = attach_detach_of(1024 * kMiB);
}

}  // namespace shmvisor
