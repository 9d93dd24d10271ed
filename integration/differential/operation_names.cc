#include "integration/differential/operation_names.h"

#include <linux/capability.h>
#include <linux/mman.h>
#include <linux/shm.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <array>

namespace shmvisor {
namespace {

#define NAMED(argument, name)                        \
  NamedValue {                                       \
    Argument::argument, #name, std::int64_t { name } \
  }

constexpr auto kNames = std::to_array<NamedValue>({
    NAMED(kGetFlags, IPC_CREAT),
    NAMED(kGetFlags, IPC_EXCL),
    NAMED(kGetFlags, SHM_NORESERVE),
    NAMED(kGetFlags, SHM_HUGETLB),
    NAMED(kAtFlags, SHM_RDONLY),
    NAMED(kAtFlags, SHM_RND),
    NAMED(kAtFlags, SHM_REMAP),
    NAMED(kAtFlags, SHM_EXEC),
    NAMED(kCommand, IPC_RMID),
    NAMED(kCommand, IPC_SET),
    NAMED(kCommand, IPC_STAT),
    NAMED(kCommand, IPC_INFO),
    NAMED(kCommand, SHM_LOCK),
    NAMED(kCommand, SHM_UNLOCK),
    NAMED(kCommand, SHM_STAT),
    NAMED(kCommand, SHM_INFO),
    NAMED(kCommand, SHM_STAT_ANY),
    NAMED(kProtection, PROT_READ),
    NAMED(kProtection, PROT_WRITE),
    NAMED(kProtection, PROT_EXEC),
    NAMED(kMremapFlags, MREMAP_MAYMOVE),
    NAMED(kMremapFlags, MREMAP_FIXED),
    NAMED(kMremapFlags, MREMAP_DONTUNMAP),
    NAMED(kMapFlags, MAP_SHARED),
    NAMED(kMapFlags, MAP_PRIVATE),
    NAMED(kMapFlags, MAP_ANONYMOUS),
    NAMED(kMapFlags, MAP_FIXED),
    NAMED(kMlockallFlags, MCL_CURRENT),
    NAMED(kMlockallFlags, MCL_FUTURE),
    NAMED(kMlockallFlags, MCL_ONFAULT),
    NAMED(kAdvice, MADV_DONTNEED),
    NAMED(kAdvice, MADV_REMOVE),
    NAMED(kAdvice, MADV_DONTFORK),
    NAMED(kAdvice, MADV_DOFORK),
    NAMED(kAdvice, MADV_DONTDUMP),
    NAMED(kAdvice, MADV_RANDOM),
    NAMED(kAdvice, MADV_WILLNEED),
    NAMED(kAdvice, MADV_WIPEONFORK),
    NAMED(kResource, RLIMIT_MEMLOCK),
    NAMED(kResource, RLIMIT_AS),
    NAMED(kResource, RLIMIT_NOFILE),
    {Argument::kCapabilities, "CAP_IPC_LOCK", std::int64_t{1} << CAP_IPC_LOCK},
    {Argument::kCapabilities, "CAP_IPC_OWNER", std::int64_t{1} << CAP_IPC_OWNER},
    {Argument::kCapabilities, "CAP_SYS_ADMIN", std::int64_t{1} << CAP_SYS_ADMIN},
    {Argument::kCapabilities, "CAP_SETUID", std::int64_t{1} << CAP_SETUID},
    {Argument::kCapabilities, "CAP_SETGID", std::int64_t{1} << CAP_SETGID},
    {Argument::kCapabilities, "CAP_SYS_RAWIO", std::int64_t{1} << CAP_SYS_RAWIO},
    {Argument::kCapabilities, "CAP_SYS_RESOURCE", std::int64_t{1} << CAP_SYS_RESOURCE},
    {Argument::kSysctlName, "shmmax", 0},
    {Argument::kSysctlName, "shmall", 1},
    {Argument::kSysctlName, "shmmni", 2},
    {Argument::kSysctlName, "shm_rmid_forced", kShmRmidForced},
    {Argument::kSysctlName, "shm_next_id", 4},
});

#undef NAMED

}  // namespace

Naming naming_of(Argument argument) {
  switch (argument) {
    case Argument::kNone:
    case Argument::kNumber:
    case Argument::kDecimal:
      return Naming::kPlain;
    case Argument::kCommand:
    case Argument::kAdvice:
    case Argument::kResource:
    case Argument::kSysctlName:
      return Naming::kOneOf;
    default:
      return Naming::kBits;
  }
}

std::span<const NamedValue> named_values() { return kNames; }

}  // namespace shmvisor
