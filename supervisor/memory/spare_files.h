// SpareFiles: memfds of segments that were removed before anybody had a description of them, kept
// for the next segment of the same name and size.
//
// Such a file is as new: it has no pages, no process ever had a descriptor of it, and its size is
// sealed. To make one takes seven system calls, and to close it frees an inode: half of what a
// create and its remove take.
//
// Bounds: spare_file_descriptors() files, without a page each. Those of the process are closed once
// none was kept or taken for a second. Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emulation/memmap/file_identity.h"
#include "policy/base/mutex.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

class SpareFiles {
 public:
  struct File {
    std::shared_ptr<const UniqueFd> base;  ///< the only descriptor of it
    FileIdentity identity;
    std::string name;  ///< of memfd_create(2)
    std::uint64_t size_bytes = 0;
  };

  /// The process's set, which is never destroyed: a memory may end at any time.
  static SpareFiles& all();
  explicit SpareFiles(std::size_t most) : most_(most) { files_.reserve(most); }

  /// Nothing where there is no such one.
  [[nodiscard]] std::optional<File> take(const std::string& name, std::uint64_t size_bytes);
  /// Keeps it, instead of the one that has been kept longest where there are as many as there may
  /// be. Needs no memory.
  void keep(File file) noexcept;

  [[nodiscard]] std::size_t count() const;
  /// Closes all.
  void clear();

 private:
  /// In a thread of its own: once none was kept or taken for a second.
  void clear_when_unused();

  const std::size_t most_;
  bool is_everlasting_ = false;  ///< so that a thread may use it at any time
  std::atomic<std::uint64_t> uses_{0};
  std::atomic<bool> is_watched_{false};  ///< by clear_when_unused()
  mutable Mutex mutex_;
  std::vector<File> files_ GUARDED_BY(mutex_);  ///< the newest last
};

}  // namespace shmvisor
