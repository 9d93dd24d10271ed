// OpenFiles: the files that are open, by the handle that the kernel names in its requests.
//
// Bounds: 4096 files in all, of 1 to 16 KiB each. One user may open another while fewer are its
// than are free: so the first who opens all that it can leaves a half, the next one a quarter, and
// always something for others.
//
// A file description can be shared by processes, and read by several at a time (pread(2)): each
// file has a lock of its own.
// Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "policy/base/result.h"
#include "supervisor/procfiles/open_file.h"

namespace shmvisor {

class OpenFiles {
 public:
  static constexpr std::size_t kMost = 4096;

  /// Its handle, never 0. ENFILE where the user has its share, of which the log tells once.
  Result<std::uint64_t> add(uid_t user, std::unique_ptr<OpenFile> file);
  /// Nothing where there is none.
  void remove(std::uint64_t handle);
  /// What `use` answers; EIO where there is none.
  template <typename Use>
  auto with(std::uint64_t handle, Use use) -> decltype(use(std::declval<OpenFile&>())) {
    const std::shared_ptr<Entry> entry = find(handle);
    if (entry == nullptr) return Errno(EIO);
    const std::lock_guard lock(entry->mutex);
    return use(*entry->file);
  }

 private:
  struct Entry {
    uid_t user = 0;
    std::mutex mutex;
    std::unique_ptr<OpenFile> file;
  };

  [[nodiscard]] std::shared_ptr<Entry> find(std::uint64_t handle);

  std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<Entry>> entries_;
  std::unordered_map<uid_t, std::size_t> of_user_;
  std::uint64_t last_handle_ = 0;
  bool told_ = false;
};

}  // namespace shmvisor
