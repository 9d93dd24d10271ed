#include "supervisor/procfiles/proc_mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "supervisor/procfiles/proc_file_list.h"

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

/// A descriptor's number in decimal.
class DescriptorText {
 public:
  explicit DescriptorText(int number) {
    char* at = text_.data() + text_.size() - 1;
    do {
      *--at = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number > 0);
    begin_ = at;
  }
  [[nodiscard]] const char* c_str() const { return begin_; }

 private:
  std::array<char, 12> text_{};
  const char* begin_ = nullptr;
};

/// Lists the folder, so that the kernel knows its files: one question to who serves it, where it
/// would ask for each by name. What fails here is only slower.
void find_all_at_once(int folder) {
  const UniqueFd listing(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::array<char, 4096> entries;
  ::syscall(SYS_getdents64, listing.get(), entries.data(), entries.size());
}

/// A user namespace inside may mount a /proc of its own only as long as one is to be seen that
/// nothing covers (mnt_already_visible() of fs/namespace.c), and sandboxes do mount one. So a copy
/// stays where nobody looks: a folder that is in every /proc and always empty, kept by the kernel
/// for old times' sake (proc_tty_init()). What fails here is missed by such sandboxes only.
void keep_whole_proc() {
  const UniqueFd whole(
      ::open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE | AT_RECURSIVE | unsigned{OPEN_TREE_CLOEXEC}));
  if (!whole.valid()) return;
  ::move_mount(whole.get(), "", AT_FDCWD, "/proc/tty/ldisc", MOVE_MOUNT_F_EMPTY_PATH);
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
      return text() + "; --proc=fuse needs it, --proc=hide or --proc=off do without";
    default:
      return text() +
             "; --proc=fuse and --proc=hide need CAP_SYS_ADMIN, which root has and --userns gives "
             "to others; --proc=off does without";
  }
}

ProcMounts::ProcMounts(ProcMode mode, bool user_namespace)
    : mode_(mode),
      user_namespace_(user_namespace),
      uid_(std::to_string(::geteuid())),
      gid_(std::to_string(::getegid())),
      uid_map_(identity_map(uid_)),
      gid_map_(identity_map(gid_)) {}

bool ProcMounts::required(const ProcMountFailure& failure) const {
  return mode_ != ProcMode::kAuto || failure.step == Step::kUserNamespace ||
         failure.step == Step::kIdMaps;
}

ProcMountFailure ProcMounts::prepare() {
  const ProcMountFailure failed = prepare_all();
  if (failed.failed()) close();
  return failed;
}

ProcMountFailure ProcMounts::prepare_all() {
  if (user_namespace_) {
    if (const auto failed = enter_user_namespace(); failed.failed()) return failed;
  }
  if (mode_ == ProcMode::kOff) return {};
  if (mode_ != ProcMode::kHide) {
    // The kernel wants it opened in the user namespace that mounts.
    connection_.reset(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
    if (!connection_.valid()) return failure(Step::kDevFuse);
  }
  if (::unshare(CLONE_NEWNS) != 0) return failure(Step::kMountNamespace);
  if (::mount(nullptr, "/proc", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) {
    return failure(Step::kPropagation);
  }
  keep_whole_proc();
  return mode_ == ProcMode::kHide ? hide() : make_file_system();
}

ProcMountFailure ProcMounts::enter_user_namespace() const {
  if (::unshare(CLONE_NEWUSER) != 0) return failure(Step::kUserNamespace);
  // user_namespaces(7): who has no privilege outside gives up setgroups(2) before mapping a group.
  if (!write_file("/proc/self/setgroups", "deny") ||
      !write_file("/proc/self/uid_map", uid_map_.c_str()) ||
      !write_file("/proc/self/gid_map", gid_map_.c_str())) {
    return failure(Step::kIdMaps);
  }
  return {};
}

ProcMountFailure ProcMounts::hide() const {
  if (::mount("shmvisor", kSysvipc, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "mode=555,size=4k") != 0) {
    return failure(Step::kHide);
  }
  return {};
}

ProcMountFailure ProcMounts::make_file_system() {
  const UniqueFd context(::fsopen("fuse", FSOPEN_CLOEXEC));
  if (!context.valid()) return failure(Step::kFileSystem);
  const auto set = [&context](const char* key, const char* value) {
    return ::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value, 0) == 0;
  };
  const DescriptorText connection(connection_.get());
  if (!set("source", "shmvisor") || !set("fd", connection.c_str()) || !set("rootmode", "40555") ||
      !set("user_id", uid_.c_str()) || !set("group_id", gid_.c_str()) ||
      ::fsconfig(context.get(), FSCONFIG_SET_FLAG, "allow_other", nullptr, 0) != 0 ||
      ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return failure(Step::kFileSystem);
  }
  mount_.reset(::fsmount(context.get(), FSMOUNT_CLOEXEC,
                         MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  return mount_.valid() ? ProcMountFailure{} : failure(Step::kFileSystem);
}

ProcMountFailure ProcMounts::attach() {
  if (!mount_.valid()) return {};
  // Before Linux 6.15 only a mount that is somewhere can be cloned, so it is here for a moment.
  if (::move_mount(mount_.get(), "", AT_FDCWD, kSysvipc, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return errno == ENOENT ? ProcMountFailure{} : failure(Step::kAttach);
  }
  find_all_at_once(mount_.get());
  std::array<UniqueFd, kProcFiles.size()> files;
  ProcMountFailure failed;
  for (std::size_t i = 0; i < files.size() && !failed.failed(); ++i) {
    files[i].reset(::open_tree(mount_.get(), kProcFiles[i].name,
                               OPEN_TREE_CLONE | unsigned{OPEN_TREE_CLOEXEC}));
    if (!files[i].valid()) failed = failure(Step::kAttach);
  }
  if (::umount2(kSysvipc, MNT_DETACH) != 0) return failure(Step::kAttach);
  for (std::size_t i = 0; i < files.size() && !failed.failed(); ++i) {
    if (::move_mount(files[i].get(), "", AT_FDCWD, kProcFiles[i].path, MOVE_MOUNT_F_EMPTY_PATH) !=
            0 &&
        errno != ENOENT) {
      failed = failure(Step::kAttach);
    }
  }
  return failed;
}

void ProcMounts::close() {
  mount_.reset();
  connection_.reset();
}

}  // namespace shmvisor
