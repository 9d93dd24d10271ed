// ProcMounts: what the command sees in /proc, arranged by the child between fork and exec in a
// mount namespace of its own.
//
// kFuse mounts single files over the kernel's. kHide covers /proc/sysvipc with an empty tmpfs, so
// that util-linux uses SHM_STAT. kOff changes nothing. kAuto is kFuse where that is possible.
//
// Only the mounts at and below /proc become slaves of the host's, so that nothing of ours leaves
// the namespace. Other mounts propagate in both directions as before. With
// `user_namespace` the kernel makes every mount a slave.
//
// There are two steps, since the files of a FUSE file system can be found only while it is served:
// prepare() creates it; attach() mounts its files, and waits for the server. Where another shmvisor
// serves the file system it also creates it (FuseMount), and take_mount() comes between the steps.
//
// Ownership: keeps descriptors between the steps, until close().
// Thread rule: constructed before the fork; prepare() and attach() are the child's and
// async-signal-safe.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "policy/base/unique_fd.h"
#include "supervisor/procfiles/fuse_mount.h"
#include "supervisor/procfiles/proc_file_list.h"
#include "supervisor/procfiles/proc_mount_failure.h"

namespace shmvisor {

enum class ProcMode { kAuto, kFuse, kHide, kOff };

class ProcMounts {
 public:
  /// `joining`: another shmvisor makes the file system.
  ProcMounts(ProcMode mode, bool user_namespace, bool joining = false);

  /// Whether /proc has files of System V IPC to mount over. A kernel without CONFIG_SYSVIPC has
  /// none, nor has a /proc of processes alone (subset=pid), and no name can be added to /proc.
  /// Programs then use SHM_STAT.
  static bool kernel_has_files();

  /// Makes the user namespace if asked for, the mount namespace, and the file system or the cover.
  /// Nothing is mounted anywhere when it fails.
  ProcMountFailure prepare();
  /// The file system's connection, to be served; invalid where there is none.
  [[nodiscard]] const UniqueFd& connection() const { return files_.connection; }
  /// Whether another shmvisor is to make the file system.
  [[nodiscard]] bool wants_mount() const { return wants_mount_; }
  /// Takes the file system that the other shmvisor created.
  void take_mount(UniqueFd mount) { files_.mount = std::move(mount); }
  /// Closes the child's copy of the connection. Call it before attach(): a process that walks the
  /// file system while it holds the connection waits for ever when the server dies, even after
  /// SIGKILL.
  void leave_connection() { files_.connection.reset(); }
  /// Mounts our files over those that the kernel has. Waits until the file system is served.
  /// Precondition: leave_connection().
  ProcMountFailure attach();
  /// Closes what was not mounted.
  void close();

  /// Whether the command must not run after this failure.
  [[nodiscard]] bool required(const ProcMountFailure& failure) const;

 private:
  ProcMountFailure prepare_all();
  ProcMountFailure enter_user_namespace() const;
  ProcMountFailure hide();
  using Files = std::array<UniqueFd, kProcFiles.size()>;
  /// Makes a mount of each file, which is nowhere yet.
  ProcMountFailure clone_files(Files& files) const;
  /// A user namespace inside may mount a /proc of its own only as long as one is to be seen that
  /// nothing covers (mnt_already_visible() of fs/namespace.c), and sandboxes do mount one. So a
  /// copy of /proc stays, where nobody looks. What fails here is missed by such sandboxes only.
  void keep_whole_proc();

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
  UniqueFd whole_proc_;  ///< a copy of /proc from before our files; invalid where there is none
};

}  // namespace shmvisor
