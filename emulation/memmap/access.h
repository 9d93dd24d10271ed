// Access: the rights of a mapping. What it has now (PROT_READ and so on), or what mprotect(2) may
// ever give it (VM_MAYREAD and so on): its maximum.
#pragma once

namespace shmvisor {

struct Access {
  bool read = false;
  bool write = false;
  bool execute = false;

  /// Whether every right of `other` is among these.
  [[nodiscard]] constexpr bool covers(const Access& other) const {
    return (read || !other.read) && (write || !other.write) && (execute || !other.execute);
  }
  friend constexpr bool operator==(const Access&, const Access&) = default;
};

inline constexpr Access kAnyAccess{true, true, true};
/// The maximum of a shared mapping whose description is read-only: do_mmap() of mm/mmap.c takes
/// VM_MAYWRITE away and nothing else.
inline constexpr Access kReadExecute{true, false, true};

}  // namespace shmvisor
