#include "supervisor/saved/whole_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
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

/// As many as the kernel follows.
constexpr int kMostLinks = 40;
constexpr int kMostNames = 100;

/// Where a link leads, also where nothing is yet; the path itself where it is none.
std::string resolved(std::string path) {
  for (int links = 0; links < kMostLinks; ++links) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                           &std::free);
    if (real != nullptr) return real.get();
    std::array<char, PATH_MAX> target{};
    const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
    if (length <= 0 || static_cast<std::size_t>(length) == target.size()) break;
    const std::string leads_to(target.data(), static_cast<std::size_t>(length));
    path = leads_to.front() == '/' ? leads_to : folder_of(path) + "/" + leads_to;
  }
  return path;
}

std::string some_name(const std::string& path) {
  std::uint32_t number = 0;
  (void)!::getrandom(&number, sizeof(number), 0);
  return path + ".saving-" + std::to_string(number);
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
  UniqueFd nameless(::open(folder_of(name).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (nameless.valid()) return WholeFile(std::move(name), {}, std::move(nameless));
  std::string unfinished = name + ".saving-XXXXXX";
  UniqueFd file(::mkostemp(unfinished.data(), O_CLOEXEC));  // with mode 0600
  if (!file.valid()) return Errno::current();
  return WholeFile(std::move(name), std::move(unfinished), std::move(file));
}

WholeFile::~WholeFile() {
  if (!unfinished_.empty()) (void)::unlink(unfinished_.c_str());
}

Result<void> WholeFile::name_it() {
  const std::string own = "/proc/self/fd/" + std::to_string(file_.get());
  for (int names = 0; names < kMostNames; ++names) {
    std::string name = some_name(path_);
    if (::linkat(AT_FDCWD, own.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      unfinished_ = std::move(name);
      return {};
    }
    if (errno != EEXIST) return Errno::current();
  }
  return Errno(EEXIST);
}

Result<void> WholeFile::commit() {
  if (::fsync(file_.get()) != 0) return Errno::current();
  if (unfinished_.empty()) {
    // rename(2) alone takes the place of another file.
    if (const auto named = name_it(); !named) return named;
    if (::fsync(file_.get()) != 0) return Errno::current();
  }
  if (::rename(unfinished_.c_str(), path_.c_str()) != 0) return Errno::current();
  unfinished_.clear();
  // Where the folder's own change cannot be awaited, the file is there all the same.
  const UniqueFd folder(::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.valid()) (void)::fsync(folder.get());
  return {};
}

}  // namespace shmvisor::saved
