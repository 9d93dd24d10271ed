// OpenFiles: the open files of one mount, by the handle that the kernel's requests name.
//
// A handle is a number, and a mark that says which registry the file is of: all that is known of a
// file when its server has died. The kernel keeps it, and no process can change it.
//
// Several processes can share a file description, and read it at the same time (pread(2)): each
// file has a lock of its own, for which no thread waits (RequestQueue).
//
// Ownership: the files. Thread rule: any thread.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "emulation/shm/registries.h"
#include "policy/base/mutex.h"
#include "policy/base/result.h"
#include "supervisor/procfiles/open_file.h"
#include "supervisor/procfiles/open_file_shares.h"

namespace shmvisor {

class OpenFiles {
 public:
  explicit OpenFiles(std::shared_ptr<OpenFileShares> shares) : shares_(std::move(shares)) {}
  OpenFiles(const OpenFiles&) = delete;
  OpenFiles& operator=(const OpenFiles&) = delete;
  ~OpenFiles();

  /// The mark of a registry; kNoMark: of none that can be told.
  static std::uint32_t mark_for(IpcNamespaceId ipc_namespace);
  static constexpr std::uint32_t kNoMark = 0x1fffffff;

  /// Answers the file's handle, never 0. ENFILE where the user has its share already.
  Result<std::uint64_t> add(uid_t user, std::unique_ptr<OpenFile> file,
                            std::uint32_t mark = kNoMark);
  static std::uint32_t mark_of(std::uint64_t handle) {
    return static_cast<std::uint32_t>(handle >> kNumberBits);
  }
  /// Opens it again, for a handle that another process gave out, before this one served the mount.
  /// Does nothing where there is such a file.
  void revive(std::uint64_t handle, uid_t user,
              const std::function<std::unique_ptr<OpenFile>()>& open);
  /// Goes on with the numbers of processes that have served the mount before. `last`: borrowed,
  /// shared with them. Before the first add().
  void number_by(std::atomic<std::uint64_t>& last);
  /// Whether one of them gave it out.
  [[nodiscard]] bool is_older(std::uint64_t handle) const {
    return handle % kNumbers <= last_of_others_;
  }
  /// Does nothing where there is none.
  void remove(std::uint64_t handle);
  /// Answers what `use` answers; EIO where there is no such file.
  template <typename Use>
  auto with(std::uint64_t handle, Use use) -> decltype(use(std::declval<OpenFile&>())) {
    const std::shared_ptr<Entry> entry = find(handle);
    if (entry == nullptr) return Errno(EIO);
    const LockHeldInWaits lock(entry->mutex);
    return use(*entry->file);
  }

 private:
  static constexpr unsigned kNumberBits = 35;
  static constexpr std::uint64_t kNumbers = std::uint64_t{1} << kNumberBits;

  struct Entry {
    uid_t user = 0;
    /// Held while the attaches of a table's segments are counted, within bounds: only readers of
    /// the same open file wait for that.
    MutexHeldInWaits mutex;
    std::unique_ptr<OpenFile> file;  ///< what it points to is used with the mutex held
  };

  [[nodiscard]] std::shared_ptr<Entry> find(std::uint64_t handle);

  const std::shared_ptr<OpenFileShares> shares_;
  Mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<Entry>> entries_ GUARDED_BY(mutex_);
  std::atomic<std::uint64_t> own_last_{0};
  std::atomic<std::uint64_t>* last_ = &own_last_;
  std::uint64_t last_of_others_ = 0;
};

}  // namespace shmvisor
