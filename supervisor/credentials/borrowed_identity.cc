#include "supervisor/credentials/borrowed_identity.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervisor/procfs/task_status.h"

namespace shmvisor {
namespace {

constexpr auto kUnchanged = static_cast<uid_t>(-1);

/// Ours, which never change but for what is borrowed.
struct OwnIdentity {
  uid_t uid = 0;
  gid_t gid = 0;
  /// Real, effective and saved are the same: only so the way back is always open.
  bool simple = false;

  OwnIdentity() {
    uid_t euid = 0;
    uid_t suid = 0;
    gid_t egid = 0;
    gid_t sgid = 0;
    simple = ::getresuid(&uid, &euid, &suid) == 0 && ::getresgid(&gid, &egid, &sgid) == 0 &&
             uid == euid && uid == suid && gid == egid && gid == sgid;
  }
};

/// First asked for with nothing borrowed, by of().
const OwnIdentity& own() {
  static const OwnIdentity identity;
  return identity;
}

bool set_uids(uid_t real, uid_t effective) {
  return ::syscall(SYS_setresuid, real, effective, kUnchanged) == 0;
}

bool set_gids(gid_t real, gid_t effective) {
  return ::syscall(SYS_setresgid, real, effective, kUnchanged) == 0;
}

/// setfsuid(2) answers the former id, whether it succeeds or not.
bool set_fsuid(uid_t uid) {
  ::syscall(SYS_setfsuid, uid);
  return static_cast<uid_t>(::syscall(SYS_setfsuid, kUnchanged)) == uid;
}

bool set_fsgid(gid_t gid) {
  ::syscall(SYS_setfsgid, gid);
  return static_cast<gid_t>(::syscall(SYS_setfsgid, kUnchanged)) == gid;
}

/// The saved ids allow it, and the kernel fails only for want of a few bytes of memory; a thread
/// that stayed somebody else must not go on.
template <typename Change>
void insist(Change change) {
  while (!change()) ::sched_yield();
}

}  // namespace

Result<BorrowedIdentity> BorrowedIdentity::of(pid_t tid, Extent extent) {
  const OwnIdentity& ours = own();
  const auto theirs = TaskStatus::read(tid);
  if (!theirs && is_shortage(theirs.error())) return theirs.error();
  if (!ours.simple || !theirs) return Errno(EPERM);
  if (theirs->uid == ours.uid && theirs->euid == ours.uid && theirs->egid == ours.gid) {
    return Errno(EPERM);
  }
  // The group first, and last on the way back: both changes take capabilities that go with the uid.
  switch (extent) {
    case Extent::kFiles:
      if (!set_fsgid(theirs->egid)) return Errno(EPERM);
      if (!set_fsuid(theirs->euid)) {
        insist([&] { return set_fsgid(ours.gid); });
        return Errno(EPERM);
      }
      break;
    case Extent::kSignals:
      if (!set_uids(kUnchanged, theirs->uid)) return Errno(EPERM);
      break;
    case Extent::kAll:
      if (!set_gids(theirs->egid, theirs->egid)) return Errno(EPERM);
      if (!set_uids(theirs->uid, theirs->uid)) {
        insist([&] { return set_gids(ours.gid, ours.gid); });
        return Errno(EPERM);
      }
      break;
  }
  return BorrowedIdentity(extent);
}

BorrowedIdentity::~BorrowedIdentity() {
  if (!held_) return;
  const int saved_errno = errno;
  const OwnIdentity& ours = own();
  switch (extent_) {
    case Extent::kFiles:
      insist([&] { return set_fsuid(ours.uid); });
      insist([&] { return set_fsgid(ours.gid); });
      break;
    case Extent::kSignals:
      insist([&] { return set_uids(kUnchanged, ours.uid); });
      break;
    case Extent::kAll:
      insist([&] { return set_uids(ours.uid, ours.uid); });
      insist([&] { return set_gids(ours.gid, ours.gid); });
      break;
  }
  errno = saved_errno;
}

}  // namespace shmvisor
