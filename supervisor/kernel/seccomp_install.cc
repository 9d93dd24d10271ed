#include "supervisor/kernel/seccomp_install.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <limits>

#include "supervisor/kernel/uapi.h"

namespace shmvisor {

Result<UniqueFd> install_filter(std::span<const sock_filter> program, InstallFlags flags) {
  if (program.size() > std::numeric_limits<unsigned short>::max()) return Errno(E2BIG);
  // seccomp(2) only reads the program, yet struct sock_fprog has no const.
  sock_fprog fprog = {static_cast<unsigned short>(program.size()),
                      const_cast<sock_filter*>(program.data())};
  // SPEC_ALLOW: where the kernel runs with spec_store_bypass_disable=seccomp or
  // spectre_v2_user=seccomp (the defaults before 5.16, kernel/seccomp.c: seccomp_assign_mode) a
  // filter otherwise turns store bypass and indirect branch speculation off for the command, for
  // good. Measured by prctl(PR_SET_SPECULATION_CTRL) on a Xeon with Linux 6.18: a loop of Python's
  // takes 1.6 times as long then, qsort(3) and getppid(2) no longer; the flag itself costs nothing.
  // Those mitigations are for sandboxes whose code nobody trusts. We are none, and without us the
  // command would run with speculation too.
  unsigned long raw_flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  if (flags.wait_killable_recv) raw_flags |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  const long fd = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, raw_flags, &fprog);
  if (fd < 0) return Errno::current();
  return UniqueFd(static_cast<int>(fd));
}

}  // namespace shmvisor
