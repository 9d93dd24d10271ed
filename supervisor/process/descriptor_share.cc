#include "supervisor/process/descriptor_share.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <limits>

namespace shmvisor {
namespace {

/// The log, sockets, whatever is open for a moment.
constexpr rlim_t kForOurselves = 64;

}  // namespace

DescriptorPool::DescriptorPool() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  constexpr rlim_t kMost = std::numeric_limits<std::int32_t>::max();
  size_ = static_cast<std::int64_t>(std::min(limit.rlim_cur, kMost)) -
          static_cast<std::int64_t>(kForOurselves);
}

std::optional<DescriptorShare::Part> DescriptorShare::take() {
  Part part(*this);
  const std::int64_t mine = taken_.load();
  if (mine <= pool_.left() + 1) return part;
  if (!told_.test_and_set()) {
    spdlog::warn(
        "a container has {} descriptors, for segments and IPC namespaces, and gets no more, so "
        "that others do; raise RLIMIT_NOFILE (ulimit -n)",
        mine - 1);
  }
  return std::nullopt;
}

}  // namespace shmvisor
