#include "supervisor/memory/spare_files.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "supervisor/resources/map_descriptors.h"

namespace shmvisor {
namespace {

std::size_t most_of_this_process() {
  constexpr rlim_t kMost = 1U << 30;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<std::size_t>(
      spare_file_descriptors(static_cast<std::int64_t>(std::min(limit.rlim_cur, kMost))));
}

}  // namespace

SpareFiles& SpareFiles::all() {
  static SpareFiles* const files =
      new SpareFiles(most_of_this_process());  // NOLINT: never destroyed
  return *files;
}

std::optional<SpareFiles::File> SpareFiles::take(const std::string& name,
                                                 std::uint64_t size_bytes) {
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
  File closed;  // when the lock is given back
  const MutexLock lock(mutex_);
  if (files_.size() >= most_) {
    closed = std::move(files_.front());
    files_.erase(files_.begin());
  }
  files_.push_back(std::move(file));
}

std::size_t SpareFiles::count() const {
  const MutexLock lock(mutex_);
  return files_.size();
}

}  // namespace shmvisor
