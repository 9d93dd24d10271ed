#include "supervisor/join/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "supervisor/credentials/user_namespace.h"

namespace shmvisor {
namespace {

/// Away from the numbers that programs expect to be free, as `exec 3<file` does.
constexpr int kLeastNumber = 100;
/// Of a file that others make and remove meanwhile.
constexpr int kMostTries = 16;

/// Not by O_CREAT alone: in a sticky folder that everybody may write to, that refuses a stranger's
/// file by itself (fs.protected_regular of proc(5)), and elsewhere not.
UniqueFd open_or_make(const std::string& path) {
  // Without O_NONBLOCK the open of a FIFO there would wait until it has a writer.
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
  for (int tries = 1;; ++tries) {
    UniqueFd opened(::open(path.c_str(), kFlags));
    if (opened.valid() || errno != ENOENT) return opened;
    opened.reset(::open(path.c_str(), kFlags | O_CREAT | O_EXCL, 0600));
    if (opened.valid() || errno != EEXIST || tries == kMostTries) return opened;
  }
}

/// Who else may remove the file, or hold its lock from the start, is a stranger: the next server
/// would see nothing of the processes that live on, or some where there are none. Who owns the
/// folder may do that anyway.
bool is_of_a_stranger(const std::string& path, const struct stat& file) {
  if (file.st_uid == 0 || file.st_uid == ::geteuid()) return false;
  if (!is_unambiguous(file.st_uid)) return true;
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  struct stat status {};
  return ::stat(folder.c_str(), &status) != 0 || status.st_uid != file.st_uid;
}

}  // namespace

Result<RunLock> RunLock::at(const std::string& socket_path) {
  const std::string path = socket_path + ".lock";
  const UniqueFd opened = open_or_make(path);
  const Errno refused = Errno::current();
  struct stat status {};
  if (!opened.valid()) {
    const bool others = refused == Errno(EACCES) && ::lstat(path.c_str(), &status) == 0 &&
                        status.st_uid != ::geteuid();
    return others ? Errno(EPERM) : refused;
  }
  if (::fstat(opened.get(), &status) != 0) return Errno::current();
  if (!S_ISREG(status.st_mode)) return Errno(EINVAL);
  if (is_of_a_stranger(path, status)) return Errno(EPERM);
  UniqueFd file(::fcntl(opened.get(), F_DUPFD_CLOEXEC, kLeastNumber));
  if (!file.valid()) file.reset(::fcntl(opened.get(), F_DUPFD_CLOEXEC, 0));
  if (!file.valid()) return Errno::current();
  return RunLock(std::move(file));
}

bool RunLock::try_alone() const { return ::flock(file_.get(), LOCK_EX | LOCK_NB) == 0; }

bool RunLock::share() const { return ::flock(file_.get(), LOCK_SH | LOCK_NB) == 0; }

void RunLock::drop() const { ::flock(file_.get(), LOCK_UN); }

void RunLock::bequeath() const { ::fcntl(file_.get(), F_SETFD, 0); }

}  // namespace shmvisor
