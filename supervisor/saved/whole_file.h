// WholeFile: a file that is written under another name, and gets its own when it is whole. So the
// one of that name is the old one or the new one, whatever happens meanwhile.
//
// It has mode 0600. A symbolic link is followed, also one that leads to nothing yet; what is there
// and is no regular file is refused. Where the file system has files without a name (O_TMPFILE)
// what a killed process was writing is gone with it. Elsewhere, as on NFS, it stays, as
// NAME.saving- and six letters, unless its process removes it: unfinished().
//
// Errors: those of the calls; EINVAL where something else than a regular file is there. Ownership:
// without commit() what was written is removed. Thread rule: one thread.
#pragma once

#include <string>
#include <utility>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor::saved {

class WholeFile {
 public:
  static Result<WholeFile> begin(const std::string& path);
  WholeFile(WholeFile&& other) noexcept
      : path_(std::move(other.path_)),
        unfinished_(std::exchange(other.unfinished_, {})),
        file_(std::move(other.file_)) {}
  WholeFile& operator=(WholeFile&&) = delete;
  ~WholeFile();

  [[nodiscard]] int fd() const { return file_.get(); }
  /// The name that it has meanwhile; empty where it has none.
  [[nodiscard]] const std::string& unfinished() const { return unfinished_; }
  /// Once. Its bytes are on the disk before it has its name.
  Result<void> commit();

 private:
  WholeFile(std::string path, std::string unfinished, UniqueFd file)
      : path_(std::move(path)), unfinished_(std::move(unfinished)), file_(std::move(file)) {}

  std::string path_;
  std::string unfinished_;  ///< empty: it has its name, or none yet
  UniqueFd file_;
};

}  // namespace shmvisor::saved
