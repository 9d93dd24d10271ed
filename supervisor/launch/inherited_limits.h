// InheritedLimits: the resource limits that we were started with, getrlimit(2).
//
// They are meant for the command, and do not bind the kernel's own shared memory: a segment may be
// larger than RLIMIT_FSIZE, and serving it takes none of the command's processor time, address
// space or stack. So we raise the limits that would bind us as far as we may: the soft limit to the
// hard one, and with CAP_SYS_RESOURCE to no limit at all. The command gets the old limits back.
//
// RLIMIT_NOFILE is taken up to its hard limit only, which is what bounds the number of segments.
//
// Thread rule: taken and raised before there are threads; restore() in the forked child,
// async-signal-safe.
#pragma once

#include <sys/resource.h>

#include <array>

namespace shmvisor {

class InheritedLimits {
 public:
  InheritedLimits();

  void raise() const;
  void restore() const;

 private:
  static constexpr std::array kResources = {
      RLIMIT_FSIZE, RLIMIT_CPU,     RLIMIT_AS,         RLIMIT_DATA,   RLIMIT_STACK,
      RLIMIT_NPROC, RLIMIT_MEMLOCK, RLIMIT_SIGPENDING, RLIMIT_RTTIME, RLIMIT_NOFILE,
  };

  std::array<rlimit, kResources.size()> limits_{};
};

}  // namespace shmvisor
