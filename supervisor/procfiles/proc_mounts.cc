#include "supervisor/procfiles/proc_mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace shmvisor {
namespace {

using Step = ProcMountFailure::Step;

constexpr const char* kSysvipc = "/proc/sysvipc";

ProcMountFailure failure(Step step) { return {step, errno}; }

bool write_file(const char* path, const char* text) {
  const UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  const std::size_t length = std::strlen(text);
  return fd.valid() && ::write(fd.get(), text, length) == static_cast<ssize_t>(length);
}

/// Lists the folder, so that the kernel knows its files: one question to who serves it, where it
/// would ask for each by name. What fails here is only slower.
void find_all_at_once(int folder) {
  const UniqueFd listing(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::array<char, 4096> entries;
  ::syscall(SYS_getdents64, listing.get(), entries.data(), entries.size());
}

/// A folder that is in every /proc and always empty, kept by the kernel for old times' sake
/// (proc_tty_init()). Nobody looks there.
constexpr const char* kUnseen = "/proc/tty/ldisc";

bool mount_at(const UniqueFd& mount, const char* path) {
  return ::move_mount(mount.get(), "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

/// One "UID UID 1" line of an id map.
std::string identity_map(const std::string& id) { return id + " " + id + " 1"; }

}  // namespace

std::string ProcMountFailure::text() const {
  const auto what = [this] {
    switch (step) {
      case Step::kUserNamespace:
        return "cannot make a user namespace";
      case Step::kIdMaps:
        return "cannot map this user into a user namespace";
      case Step::kDevFuse:
        return "cannot open /dev/fuse";
      case Step::kMountNamespace:
        return "cannot make a mount namespace";
      case Step::kPropagation:
        return "cannot keep mounts below /proc from the host";
      case Step::kFileSystem:
        return "cannot make a FUSE mount";
      case Step::kHide:
        return "cannot cover /proc/sysvipc";
      case Step::kAttach:
        return "cannot mount over the files of /proc";
      case Step::kServe:
        return "the server cannot serve files in /proc";
      case Step::kNone:
        break;
    }
    return "nothing failed";
  };
  return std::string(what()) + ": " + std::strerror(error);
}

std::string ProcMountFailure::advice() const {
  switch (step) {
    case Step::kUserNamespace:
    case Step::kIdMaps:
      return text() + "; run without --userns, or see 'shmvisor check' for what forbids it";
    case Step::kDevFuse:
      return text() + (error == EACCES
                           ? "; let this user open it (chmod 666 /dev/fuse, as most distributions "
                             "do): --proc=fuse needs it, --proc=hide or --proc=off do without"
                           : "; --proc=fuse needs it, --proc=hide or --proc=off do without");
    default:
      return text() +
             "; --proc=fuse and --proc=hide need CAP_SYS_ADMIN, which root has and --userns gives "
             "to others; --proc=off does without";
  }
}

ProcMounts::ProcMounts(ProcMode mode, bool user_namespace, bool joining)
    : mode_(mode),
      user_namespace_(user_namespace),
      joining_(joining),
      uid_(std::to_string(::geteuid())),
      gid_(std::to_string(::getegid())),
      uid_map_(identity_map(uid_)),
      gid_map_(identity_map(gid_)) {}

bool ProcMounts::kernel_has_files() { return ::access(kSysvipc, F_OK) == 0; }

bool ProcMounts::required(const ProcMountFailure& failure) const {
  return mode_ != ProcMode::kAuto || failure.step == Step::kUserNamespace ||
         failure.step == Step::kIdMaps;
}

ProcMountFailure ProcMounts::prepare() {
  const ProcMountFailure failed = prepare_all();
  if (failed.failed()) {
    close();
    wants_mount_ = false;
  }
  return failed;
}

ProcMountFailure ProcMounts::prepare_all() {
  if (user_namespace_) {
    if (const auto failed = enter_user_namespace(); failed.failed()) return failed;
  }
  if (mode_ == ProcMode::kOff) return {};
  wants_mount_ = joining_ && mode_ != ProcMode::kHide;
  if (mode_ != ProcMode::kHide && !joining_) {
    // First of all, since it is what most often is missing.
    files_.connection.reset(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
    if (!files_.connection.valid()) return failure(Step::kDevFuse);
  }
  if (::unshare(CLONE_NEWNS) != 0) return failure(Step::kMountNamespace);
  if (::mount(nullptr, "/proc", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) {
    return failure(Step::kPropagation);
  }
  whole_proc_.reset(
      ::open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE | AT_RECURSIVE | unsigned{OPEN_TREE_CLOEXEC}));
  if (mode_ == ProcMode::kHide) return hide();
  return wants_mount_ ? ProcMountFailure{} : files_.make(uid_.c_str(), gid_.c_str());
}

ProcMountFailure ProcMounts::enter_user_namespace() const {
  if (::unshare(CLONE_NEWUSER) != 0) return failure(Step::kUserNamespace);
  // user_namespaces(7): a process without privilege outside gives up setgroups(2) before mapping a
  // group.
  if (!write_file("/proc/self/setgroups", "deny") ||
      !write_file("/proc/self/uid_map", uid_map_.c_str()) ||
      !write_file("/proc/self/gid_map", gid_map_.c_str())) {
    return failure(Step::kIdMaps);
  }
  return {};
}

ProcMountFailure ProcMounts::hide() {
  if (::mount("shmvisor", kSysvipc, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "mode=555,size=4k") != 0 &&
      errno != ENOENT) {
    return failure(Step::kHide);
  }
  keep_whole_proc();
  return {};
}

ProcMountFailure ProcMounts::attach() {
  if (!files_.mount.valid()) return {};
  find_all_at_once(files_.mount.get());
  Files files;
  ProcMountFailure failed = clone_files(files);
  // Before Linux 6.15 only a mount that is somewhere can be cloned, so it is here for a moment.
  const bool never_was_anywhere = !failed.failed();
  if (failed.failed()) {
    if (!mount_at(files_.mount, kSysvipc)) {
      return errno == ENOENT ? ProcMountFailure{} : failure(Step::kAttach);
    }
    failed = clone_files(files);
    if (::umount2(kSysvipc, MNT_DETACH) != 0) return failure(Step::kAttach);
  }
  for (std::size_t i = 0; i < files.size() && !failed.failed(); ++i) {
    if (!mount_at(files[i], kProcFiles[i].path) && errno != ENOENT) {
      failed = failure(Step::kAttach);
    }
  }
  // To take a mount away, or to close one that never was anywhere, is to wait for a grace period of
  // RCU: namespace_unlock() of fs/namespace.c. It is a third of the whole start. So this one stays,
  // and the other /proc covers it.
  if (never_was_anywhere && whole_proc_.valid()) (void)mount_at(files_.mount, kUnseen);
  keep_whole_proc();
  return failed;
}

ProcMountFailure ProcMounts::clone_files(Files& files) const {
  for (std::size_t i = 0; i < files.size(); ++i) {
    files[i].reset(::open_tree(files_.mount.get(), kProcFiles[i].name,
                               OPEN_TREE_CLONE | unsigned{OPEN_TREE_CLOEXEC}));
    if (!files[i].valid()) return failure(Step::kAttach);
  }
  return {};
}

void ProcMounts::keep_whole_proc() {
  if (whole_proc_.valid()) (void)mount_at(whole_proc_, kUnseen);
  whole_proc_.reset();
}

void ProcMounts::close() {
  whole_proc_.reset();
  files_.mount.reset();
  files_.connection.reset();
}

}  // namespace shmvisor
