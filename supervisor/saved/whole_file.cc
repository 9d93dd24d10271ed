#include "supervisor/saved/whole_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <optional>

namespace shmvisor::saved {
namespace {

constexpr mode_t kOwnerOnly = 0600;

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// What the link at `path` has; nothing where there is none.
std::optional<std::string> link_at(const std::string& path) {
  std::array<char, PATH_MAX> text;  // NOLINT: filled by readlink
  const ssize_t bytes = ::readlink(path.c_str(), text.data(), text.size());
  if (bytes < 0) return std::nullopt;
  return std::string(text.data(), static_cast<std::size_t>(bytes));
}

/// Where links lead, also to what is not there yet. ELOOP where they do not end.
Result<std::string> resolved(std::string path) {
  constexpr int kMostLinks = 40;  // as the kernel has it
  for (int links = 0; links <= kMostLinks; ++links) {
    const auto target = link_at(path);
    if (!target) return path;
    path = target->starts_with('/') ? *target : folder_of(path) + "/" + *target;
  }
  return Errno(ELOOP);
}

/// Gives a file without a name one that is not taken.
Result<std::string> link_as_unfinished(const UniqueFd& file, const std::string& name) {
  constexpr int kMostTries = 100;
  static std::atomic<unsigned> last{0};
  const std::string nameless = "/proc/self/fd/" + std::to_string(file.get());
  for (int tried = 0; tried < kMostTries; ++tried) {
    std::string unfinished =
        name + ".saving-" + std::to_string(::getpid()) + "-" + std::to_string(++last);
    if (::linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, unfinished.c_str(), AT_SYMLINK_FOLLOW) ==
        0) {
      return unfinished;
    }
    if (errno != EEXIST) return Errno::current();
  }
  return Errno(EEXIST);
}

}  // namespace

Result<WholeFile> WholeFile::begin(const std::string& path) {
  struct stat status {};
  const bool there = ::stat(path.c_str(), &status) == 0;
  // Another user's link in a folder that all may write is not followed, fs.protected_symlinks:
  // realpath(3) would.
  if (!there && errno != ENOENT) return Errno::current();
  if (there && !S_ISREG(status.st_mode)) return Errno(S_ISDIR(status.st_mode) ? EISDIR : EINVAL);
  auto resolved_name = resolved(path);
  if (!resolved_name) return resolved_name.error();
  std::string name = std::move(*resolved_name);
  UniqueFd nameless(::open(folder_of(name).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, kOwnerOnly));
  if (nameless.valid()) return WholeFile(std::move(name), "", std::move(nameless));
  // Not every file system has files without a name.
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
  if (unfinished_.empty()) {
    auto linked = link_as_unfinished(file_, path_);
    if (!linked) return linked.error();
    unfinished_ = std::move(*linked);
  }
  if (::rename(unfinished_.c_str(), path_.c_str()) != 0) return Errno::current();
  unfinished_.clear();
  // Where the folder's own change cannot be awaited, the file is there all the same.
  const UniqueFd folder(::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.valid()) (void)::fsync(folder.get());
  return {};
}

}  // namespace shmvisor::saved
