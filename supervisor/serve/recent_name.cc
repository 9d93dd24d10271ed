#include "supervisor/serve/recent_name.h"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <string>

#include "supervisor/procfs/process_name.h"

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;

struct KnownName {
  pid_t tid = 0;
  Clock::time_point read_at;
  CommandName name{};
};
constexpr std::size_t kKnownNames = 16;
thread_local std::array<KnownName, kKnownNames> t_names;

}  // namespace

CommandName recent_name(pid_t tid) noexcept {
  KnownName& known = t_names[static_cast<std::size_t>(tid) % kKnownNames];
  const auto now = Clock::now();
  if (known.tid == tid && now - known.read_at < kNameHolds) return known.name;
  std::string read;
  try {
    read = process_name(tid);
  } catch (const std::exception&) {
    return {};
  }
  known = {tid, now, {}};
  std::copy_n(read.data(), std::min(read.size(), known.name.size() - 1), known.name.data());
  return known.name;
}

}  // namespace shmvisor
