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

/// Where the file is, looked up once: the owner of a folder above may have the path lead elsewhere
/// at any moment, and what is known of one folder says nothing of the other.
struct Place {
  UniqueFd folder;
  struct stat status {};  ///< of the folder
  std::string name;       ///< in it
};

Result<Place> look_up(const std::string& path) {
  const std::size_t name = path.rfind('/') + 1;  // 0 where there is no slash
  const std::string folder = name == 0 ? "." : path.substr(0, name);
  Place place{
      UniqueFd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), {}, path.substr(name)};
  if (!place.folder.valid() || ::fstat(place.folder.get(), &place.status) != 0) {
    return Errno::current();
  }
  return place;
}

/// Gives a file that root has just made to the owner of its folder, who may remove it anyway: that
/// user is to serve there later, as the database's own behind a start by root. Where that fails
/// the file is root's.
void give_to_owner(const struct stat& folder, int file) {
  if (::geteuid() != 0 || folder.st_uid == 0 || !is_unambiguous(folder.st_uid)) return;
  (void)!::fchown(file, folder.st_uid, static_cast<gid_t>(-1));
}

/// Not by O_CREAT alone: in a sticky folder that everybody may write to, that refuses a stranger's
/// file by itself (fs.protected_regular of proc(5)), and elsewhere not.
UniqueFd open_or_make(const Place& place) {
  // Without O_NONBLOCK the open of a FIFO there would wait until it has a writer.
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
  const int folder = place.folder.get();
  const char* const name = place.name.c_str();
  for (int tries = 1;; ++tries) {
    UniqueFd opened(::openat(folder, name, kFlags));
    if (opened.valid() || errno != ENOENT) return opened;
    opened.reset(::openat(folder, name, kFlags | O_CREAT | O_EXCL, 0600));
    if (opened.valid()) give_to_owner(place.status, opened.get());
    if (opened.valid() || errno != EEXIST || tries == kMostTries) return opened;
  }
}

/// Whether a stranger owns the file, and so may remove it, or hold its lock from the start: the
/// next server would see nothing of the processes that live on, or some where there are none. The
/// owner of the folder may do that anyway.
bool is_of_a_stranger(const struct stat& folder, const struct stat& file) {
  if (file.st_uid == 0 || file.st_uid == ::geteuid()) return false;
  return !is_unambiguous(file.st_uid) || folder.st_uid != file.st_uid;
}

}  // namespace

Result<RunLock> RunLock::at(const std::string& socket_path) {
  const auto place = look_up(socket_path + ".lock");
  if (!place) return place.error();
  const UniqueFd opened = open_or_make(*place);
  const Errno refused = Errno::current();
  struct stat status {};
  if (!opened.valid()) {
    const bool others =
        refused == Errno(EACCES) &&
        ::fstatat(place->folder.get(), place->name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_uid != ::geteuid();
    return others ? Errno(EPERM) : refused;
  }
  if (::fstat(opened.get(), &status) != 0) return Errno::current();
  if (!S_ISREG(status.st_mode)) return Errno(EINVAL);
  if (is_of_a_stranger(place->status, status)) return Errno(EPERM);
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
