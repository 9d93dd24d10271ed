// Subject: who is asking, in the terms in which the kernel judges System V IPC.
//
// Values are those of the calling *thread* (the kernel judges by task, credentials(7)), as seen in
// the supervisor's user namespace. Members are read only when a decision needs them: most calls
// come from the owner and are settled by the effective uid alone.
//
// Thread rule: one thread at a time; a Subject lives for one call.
#pragma once

#include <sys/types.h>

namespace shmvisor {

/// The capabilities that System V shared memory asks for, numbered as in <linux/capability.h>.
enum class Capability : unsigned {
  kIpcLock = 14,
  kIpcOwner = 15,
  kSysAdmin = 21,
};

class Subject {
 public:
  Subject() = default;
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;
  virtual ~Subject() = default;

  virtual uid_t uid() = 0;  ///< real uid: whose account locked memory is charged to
  virtual uid_t euid() = 0;
  virtual gid_t egid() = 0;
  /// in_group_p(): the filesystem gid or one of the supplementary groups.
  virtual bool in_group(gid_t gid) = 0;
  /// ns_capable(): whether it has the capability over the registry that is asked for.
  virtual bool capable(Capability capability) = 0;
  /// capable(): whether it has it over the whole machine, in the first user namespace.
  virtual bool capable_over_machine(Capability capability) { return capable(capability); }
};

}  // namespace shmvisor
