#include "supervisor/saved/whole_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace shmvisor::saved {
namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// Where a link leads; the path itself where there is nothing yet.
std::string resolved(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         &std::free);
  return real == nullptr ? path : std::string(real.get());
}

}  // namespace

Result<WholeFile> WholeFile::begin(const std::string& path) {
  struct stat status {};
  const bool there = ::stat(path.c_str(), &status) == 0;
  // Another user's link in a folder that all may write is not followed, fs.protected_symlinks:
  // realpath(3) would.
  if (!there && errno != ENOENT) return Errno::current();
  if (there && !S_ISREG(status.st_mode)) return Errno(S_ISDIR(status.st_mode) ? EISDIR : EINVAL);
  std::string name = resolved(path);
  std::string unfinished = name + ".saving-XXXXXX";
  UniqueFd file(::mkostemp(unfinished.data(), O_CLOEXEC));  // with mode 0600
  if (!file.valid()) return Errno::current();
  return WholeFile(std::move(name), std::move(unfinished), std::move(file));
}

WholeFile::~WholeFile() {
  if (!unfinished_.empty()) (void)::unlink(unfinished_.c_str());
}

Result<void> WholeFile::commit() {
  if (::fsync(file_.get()) != 0) return Errno::current();
  if (::rename(unfinished_.c_str(), path_.c_str()) != 0) return Errno::current();
  unfinished_.clear();
  // Where the folder's own change cannot be awaited, the file is there all the same.
  const UniqueFd folder(::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.valid()) (void)::fsync(folder.get());
  return {};
}

}  // namespace shmvisor::saved
