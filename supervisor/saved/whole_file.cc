#include "supervisor/saved/whole_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "policy/base/linked_path.h"

namespace shmvisor::saved {
namespace {

constexpr mode_t kOwnerOnly = 0600;

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// Behind its own name, until it is whole; then six letters, of mkostemp(3), or digits.
constexpr std::string_view kUnfinished = ".saving-";
constexpr std::size_t kLetters = 6;

/// Gives a file without a name one that is not taken.
Result<std::string> link_as_unfinished(const UniqueFd& file, const std::string& name) {
  constexpr unsigned kMostTries = 1000;
  constexpr unsigned kNumbers = 1'000'000;  // six digits
  const std::string nameless = "/proc/self/fd/" + std::to_string(file.get());
  for (unsigned tried = 0; tried < kMostTries; ++tried) {
    std::array<char, kLetters + 1> digits{};
    const unsigned number = (static_cast<unsigned>(::getpid()) + tried) % kNumbers;
    std::snprintf(digits.data(), digits.size(), "%06u", number);
    std::string unfinished = name + std::string(kUnfinished) + digits.data();
    if (::linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, unfinished.c_str(), AT_SYMLINK_FOLLOW) ==
        0) {
      return unfinished;
    }
    if (errno != EEXIST) return Errno::current();
  }
  return Errno(EEXIST);
}

/// Before much is written that could not get its name.
bool is_too_long(const std::string& path) {
  const long most = ::pathconf(folder_of(path).c_str(), _PC_NAME_MAX);
  const std::size_t name_bytes = path.size() - (path.rfind('/') + 1);
  const std::size_t unfinished_bytes = name_bytes + kUnfinished.size() + kLetters;
  return most > 0 && unfinished_bytes > static_cast<std::size_t>(most);
}

}  // namespace

Result<WholeFile> WholeFile::begin(const std::string& path) {
  struct stat status {};
  const bool there = ::stat(path.c_str(), &status) == 0;
  // Another user's link in a folder that all may write is not followed, fs.protected_symlinks:
  // realpath(3) would.
  if (!there && errno != ENOENT) return Errno::current();
  if (there && !S_ISREG(status.st_mode)) return Errno(S_ISDIR(status.st_mode) ? EISDIR : EINVAL);
  auto linked = linked_path(path);
  if (!linked) return linked.error();
  std::string name = std::move(*linked);
  if (is_too_long(name)) return Errno(ENAMETOOLONG);
  UniqueFd nameless(::open(folder_of(name).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, kOwnerOnly));
  if (nameless.valid()) return WholeFile(std::move(name), "", std::move(nameless));
  // Not every file system has files without a name.
  std::string unfinished = name + std::string(kUnfinished) + std::string(kLetters, 'X');
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
