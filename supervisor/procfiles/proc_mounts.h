// ProcMounts: what the command sees in /proc, arranged by the child between fork and exec in a
// mount namespace of its own.
//
// kFuse mounts single files over the kernel's; kHide covers /proc/sysvipc with an empty tmpfs, so
// that util-linux asks by SHM_STAT; kOff changes nothing. kAuto is kFuse where that is possible.
//
// Only the mounts at and below /proc become slaves of the host's: what is mounted anywhere else
// goes to and fro as the host has it, and nothing of ours leaves the namespace. With
// `user_namespace` the kernel makes every mount a slave.
//
// In two steps, since the files of a FUSE file system can only be found when it is served:
// prepare() makes it, attach() puts its files in their places, waiting for whoever serves it.
//
// Ownership: keeps the two descriptors between the steps; the caller closes them.
// Thread rule: constructed before the fork; prepare() and attach() are the child's and
// async-signal-safe.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "policy/base/unique_fd.h"

namespace shmvisor {

enum class ProcMode { kAuto, kFuse, kHide, kOff };

/// What could not be done, and the errno.
struct ProcMountFailure {
  enum class Step : int {
    kNone,
    kUserNamespace,
    kIdMaps,
    kDevFuse,
    kMountNamespace,
    kPropagation,
    kFileSystem,
    kHide,
    kAttach,
  };
  Step step = Step::kNone;
  int error = 0;

  [[nodiscard]] bool failed() const { return step != Step::kNone; }
  /// "cannot open /dev/fuse: Permission denied".
  [[nodiscard]] std::string text() const;
  /// The same for who asked for it, with what to do.
  [[nodiscard]] std::string advice() const;
};

class ProcMounts {
 public:
  ProcMounts(ProcMode mode, bool user_namespace);

  /// The user namespace when asked for, the mount namespace, and the file system or the cover.
  /// Nothing is mounted anywhere when it fails.
  ProcMountFailure prepare();
  /// Of the file system, to be served; invalid where there is none.
  [[nodiscard]] const UniqueFd& connection() const { return connection_; }
  /// Where the kernel has no such file, none appears. Until it is served, this waits.
  ProcMountFailure attach();
  /// Closes both descriptors.
  void close();

  /// Whether the command shall not run without what was asked for.
  [[nodiscard]] bool required(const ProcMountFailure& failure) const;

 private:
  ProcMountFailure prepare_all();
  ProcMountFailure enter_user_namespace() const;
  ProcMountFailure hide() const;
  ProcMountFailure make_file_system();

  const ProcMode mode_;
  const bool user_namespace_;
  // Prepared here, because the child may not allocate.
  const std::string uid_;
  const std::string gid_;
  const std::string uid_map_;
  const std::string gid_map_;
  UniqueFd connection_;
  UniqueFd mount_;
};

}  // namespace shmvisor
