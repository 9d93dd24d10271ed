#include "supervisor/credentials/kept_file.h"

#include <atomic>
#include <utility>

#include "supervisor/resources/map_descriptors.h"

namespace shmvisor {
namespace {

/// Of all threads.
std::atomic<std::int64_t> kept_count{0};

}  // namespace

KeptFile::~KeptFile() {
  if (file_.valid()) --kept_count;
}

UniqueFd KeptFile::take(std::uint64_t state) {
  UniqueFd outdated;  // closed when the lock is given back
  const MutexLock lock(mutex_);
  if (!file_.valid()) return {};
  --kept_count;
  if (state_ == state) return std::move(file_);
  outdated = std::move(file_);
  return {};
}

void KeptFile::keep(UniqueFd file, std::uint64_t state) {
  static const std::int64_t most = caller_map_descriptors(descriptor_limit());
  // `file` is closed, if it is, when the lock is given back.
  const MutexLock lock(mutex_);
  if (file_.valid() || !file.valid()) return;
  if (++kept_count > most) {
    --kept_count;
    return;
  }
  file_ = std::move(file);
  state_ = state;
}

}  // namespace shmvisor
