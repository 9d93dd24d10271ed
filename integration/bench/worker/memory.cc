// What an attached segment is like as memory.
#include <sys/ipc.h>
#include <sys/mman.h>

#include <cstring>

#include "integration/bench/worker/shm_calls.h"
#include "integration/bench/worker/timing.h"
#include "integration/bench/worker/worker.h"

namespace shmvisor {
namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kTouchedPages = 4096;
constexpr std::size_t kTouchedBytes = kTouchedPages * kPageBytes;
constexpr std::size_t kCopiedBytes = 32 << 20;

/// Nanoseconds for the first write to one page of a segment. The pages are given back by the caller
/// itself, natively too: those of a removed segment would go to whichever CPU removed it, and a
/// page that comes from another CPU's cache takes longer to clear.
double first_touch(const WorkerSettings& settings) {
  const ShmCalls calls(settings.cooperate);
  const BenchSegment segment(calls, IPC_PRIVATE, kTouchedBytes);
  auto* const bytes = static_cast<volatile char*>(segment.attach());
  const double all_ns = time_part(settings.budget, [bytes] {
    const auto start = WorkerClock::now();
    for (std::size_t at = 0; at < kTouchedBytes; at += kPageBytes) bytes[at] = 1;
    const double taken_ns = nanoseconds_since(start);
    if (::madvise(const_cast<char*>(bytes), kTouchedBytes, MADV_REMOVE) != 0) give_up("madvise");
    return taken_ns;
  });
  segment.detach(const_cast<char*>(bytes));
  return all_ns / static_cast<double>(kTouchedPages);
}

/// Bytes copied in a second, from one half of a segment to the other.
double copy_bandwidth(const WorkerSettings& settings) {
  const ShmCalls calls(settings.cooperate);
  const BenchSegment segment(calls, IPC_PRIVATE, 2 * kCopiedBytes);
  auto* const bytes = static_cast<char*>(segment.attach());
  std::memset(bytes, 1, 2 * kCopiedBytes);
  const double one_ns = time_each(settings.budget, [bytes] {
    std::memcpy(bytes + kCopiedBytes, bytes, kCopiedBytes);
    asm volatile("" : : "r"(bytes) : "memory");  // or the compiler might drop all but the last
  });
  segment.detach(bytes);
  return static_cast<double>(kCopiedBytes) / one_ns * 1e9;
}

}  // namespace

void add_memory(WorkerTable& table) {
  table["first-touch"] = one_number(first_touch);
  table["copy-bandwidth"] = one_number(copy_bandwidth);
}

}  // namespace shmvisor
