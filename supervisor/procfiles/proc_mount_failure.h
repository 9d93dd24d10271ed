// ProcMountFailure: why there are no files of ours in a command's /proc.
#pragma once

#include <string>

namespace shmvisor {

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
    kServe,  ///< by the server that is joined
  };
  Step step = Step::kNone;
  int error = 0;

  [[nodiscard]] bool failed() const { return step != Step::kNone; }
  /// "cannot open /dev/fuse: Permission denied".
  [[nodiscard]] std::string text() const;
  /// The same for a user who asked for the files, with what to do.
  [[nodiscard]] std::string advice() const;
};

}  // namespace shmvisor
