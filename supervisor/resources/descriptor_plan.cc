#include "supervisor/resources/descriptor_plan.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>

#include "supervisor/keeper/kept_store.h"
#include "supervisor/procfs/proc_file.h"
#include "supervisor/resources/map_descriptors.h"

namespace shmvisor {
namespace {

/// Descriptors that this process opens once and keeps: the listener, the connection of the files in
/// /proc, inotify, timers, the call page, signalfd and the like.
constexpr std::int64_t kOpenedLater = 10;
/// For the main loop, which accepts connections and looks into /proc.
constexpr std::int64_t kForTheMainLoop = 4;
constexpr std::int64_t kLeastReserve = 16;
constexpr std::int64_t kMostCallsAtOnce = 1024;
constexpr std::int64_t kMostRemembered = 256;
/// However many there may be: with each segment goes some memory of ours, up to 1 KiB.
constexpr std::int64_t kMostKept = 1 << 18;
constexpr const char* kPlannedWith = "descriptors before servers";

}  // namespace

DescriptorPlan DescriptorPlan::of(std::uint64_t limit, std::int64_t open_already) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int32_t>::max();
  const auto all = static_cast<std::int64_t>(std::min(limit, kMost));
  const std::int64_t reserve =
      std::clamp(all / 8, kLeastReserve, kMostCallsAtOnce * kOfACall + kForTheMainLoop);
  DescriptorPlan plan;
  plan.calls_at_once = static_cast<int>((reserve - kForTheMainLoop) / kOfACall);
  plan.remembered_callers = std::clamp<std::int64_t>(all / 32, 2, kMostRemembered);
  plan.remembered_joined_callers = std::clamp<std::int64_t>(all / 2048, 2, kMostRemembered);
  plan.pool = std::clamp<std::int64_t>(
      all - open_already - kOpenedLater - reserve - plan.remembered_callers - map_descriptors(all),
      0, kMostKept);
  return plan;
}

DescriptorPlan DescriptorPlan::of_this_process() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  // The folder itself is among them for a moment.
  const auto open = numbered_entries("/proc/self/fd");
  auto count = open ? static_cast<std::int64_t>(open->size()) : 0;
  // A program that goes on with what another one had open plans as that one did.
  KeptStore& store = KeptStore::ours();
  if (store.resumes()) count = store.number(kPlannedWith).value_or(count);
  store.note(kPlannedWith, count);
  return of(limit.rlim_cur, std::max<std::int64_t>(count, kLeastReserve / 2));
}

}  // namespace shmvisor
