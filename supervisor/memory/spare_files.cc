#include "supervisor/memory/spare_files.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "supervisor/resources/map_descriptors.h"
#include "supervisor/tasks/run_aside.h"

namespace shmvisor {
namespace {

constexpr std::chrono::seconds kUnused(1);

std::size_t most_of_this_process() {
  constexpr rlim_t kMost = 1U << 30;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<std::size_t>(
      spare_file_descriptors(static_cast<std::int64_t>(std::min(limit.rlim_cur, kMost))));
}

}  // namespace

SpareFiles& SpareFiles::all() {
  static SpareFiles* const files = [] {
    auto* const made = new SpareFiles(most_of_this_process());  // NOLINT: never destroyed
    made->is_everlasting_ = true;
    return made;
  }();
  return *files;
}

std::optional<SpareFiles::File> SpareFiles::take(const std::string& name,
                                                 std::uint64_t size_bytes) {
  uses_.fetch_add(1, std::memory_order_relaxed);
  const MutexLock lock(mutex_);
  const auto newest = std::find_if(files_.rbegin(), files_.rend(), [&](const File& file) {
    return file.size_bytes == size_bytes && file.name == name;
  });
  if (newest == files_.rend()) return std::nullopt;
  std::optional<File> taken(std::move(*newest));
  files_.erase(std::next(newest).base());
  return taken;
}

void SpareFiles::keep(File file) noexcept {
  if (most_ == 0) return;
  uses_.fetch_add(1, std::memory_order_relaxed);
  {
    File closed;  // when the lock is given back
    const MutexLock lock(mutex_);
    if (files_.size() >= most_) {
      closed = std::move(files_.front());
      files_.erase(files_.begin());
    }
    files_.push_back(std::move(file));
  }
  if (!is_everlasting_ || is_watched_.exchange(true)) return;
  if (!run_aside(kNobodysWork, [this] { clear_when_unused(); })) is_watched_.store(false);
}

void SpareFiles::clear() {
  const MutexLock lock(mutex_);
  files_.clear();
}

void SpareFiles::clear_when_unused() {
  for (std::uint64_t before = ~std::uint64_t{0}; uses_.load() != before;) {
    before = uses_.load();
    std::this_thread::sleep_for(kUnused);
  }
  is_watched_.store(false);
  clear();
}

std::size_t SpareFiles::count() const {
  const MutexLock lock(mutex_);
  return files_.size();
}

}  // namespace shmvisor
