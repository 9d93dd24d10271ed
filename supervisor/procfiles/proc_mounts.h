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
// prepare() makes it, attach() puts its files in their places, waiting for whoever serves it. Where
// another shmvisor serves it that one makes it (FuseMount), and take_mount() comes between the
// steps.
//
// Ownership: keeps the two descriptors between the steps; the caller closes them.
// Thread rule: constructed before the fork; prepare() and attach() are the child's and
// async-signal-safe.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "policy/base/unique_fd.h"
#include "supervisor/procfiles/fuse_mount.h"
#include "supervisor/procfiles/proc_mount_failure.h"

namespace shmvisor {

enum class ProcMode { kAuto, kFuse, kHide, kOff };

class ProcMounts {
 public:
  /// `joining`: another shmvisor makes the file system.
  ProcMounts(ProcMode mode, bool user_namespace, bool joining = false);

  /// Whether /proc has anything of the kernel's System V IPC to mount over. A kernel without
  /// CONFIG_SYSVIPC has nothing, nor has a /proc of processes alone (subset=pid); and /proc takes
  /// no new names. Programs then ask by SHM_STAT.
  static bool kernel_has_files();

  /// The user namespace when asked for, the mount namespace, and the file system or the cover.
  /// Nothing is mounted anywhere when it fails.
  ProcMountFailure prepare();
  /// Of the file system, to be served; invalid where there is none.
  [[nodiscard]] const UniqueFd& connection() const { return files_.connection; }
  /// Whether another shmvisor is to make the file system.
  [[nodiscard]] bool wants_mount() const { return wants_mount_; }
  /// What it made.
  void take_mount(UniqueFd mount) { files_.mount = std::move(mount); }
  /// Leaves the connection to who serves it. Before attach(): who walks the file system while it
  /// holds the connection itself waits for ever when the server dies, past SIGKILL.
  void leave_connection() { files_.connection.reset(); }
  /// Where the kernel has no such file, none appears. Until it is served, this waits.
  /// Precondition: leave_connection().
  ProcMountFailure attach();
  /// Closes both descriptors.
  void close();

  /// Whether the command shall not run without what was asked for.
  [[nodiscard]] bool required(const ProcMountFailure& failure) const;

 private:
  ProcMountFailure prepare_all();
  ProcMountFailure enter_user_namespace() const;
  ProcMountFailure hide() const;

  const ProcMode mode_;
  const bool user_namespace_;
  const bool joining_;
  bool wants_mount_ = false;
  // Prepared here, because the child may not allocate.
  const std::string uid_;
  const std::string gid_;
  const std::string uid_map_;
  const std::string gid_map_;
  FuseMount files_;
};

}  // namespace shmvisor
