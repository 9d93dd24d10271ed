#include "supervisor/join/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <utility>

namespace shmvisor {
namespace {

/// Away from the numbers that programs expect to be free, as `exec 3<file` does.
constexpr int kLeastNumber = 100;

}  // namespace

Result<RunLock> RunLock::at(const std::string& socket_path) {
  // Without O_NONBLOCK the open of a FIFO there would wait until it has a writer.
  constexpr int kFlags = O_RDONLY | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
  const UniqueFd opened(::open((socket_path + ".lock").c_str(), kFlags, 0600));
  if (!opened.valid()) return Errno::current();
  struct stat status {};
  if (::fstat(opened.get(), &status) != 0) return Errno::current();
  if (!S_ISREG(status.st_mode)) return Errno(EINVAL);
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
