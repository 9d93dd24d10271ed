// WholeFile: a file that is written without a name, and gets its own when it is whole. So the one
// of that name is the old one or the new one, whatever happens meanwhile; and what a process was
// writing that is killed is gone with it. Where the file system has no files without a name, it is
// NAME.saving-XXXXXX meanwhile, and stays.
//
// It has mode 0600. A symbolic link is followed, also one that leads nowhere yet; what is there and
// is no regular file is refused.
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
  /// Once. Its bytes are on the disk before it has its name.
  Result<void> commit();

 private:
  WholeFile(std::string path, std::string unfinished, UniqueFd file)
      : path_(std::move(path)), unfinished_(std::move(unfinished)), file_(std::move(file)) {}

  /// Gives it a name beside its own.
  Result<void> name_it();

  std::string path_;
  std::string unfinished_;  ///< its name until it is whole; empty: none, or it has its own
  UniqueFd file_;
};

}  // namespace shmvisor::saved
