#include "supervisor/keeper/proof_of_origin.h"

#include <endian.h>
#include <linux/capability.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <string>

#include "supervisor/kernel/descriptor_path.h"

namespace shmvisor {
namespace {

constexpr unsigned kHalfBits = 32;

using Halves = std::array<__user_cap_data_struct, 2>;

Halves own_sets() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  Halves sets{};
  (void)::syscall(SYS_capget, &header, sets.data());
  return sets;
}

std::uint64_t inheritable_of(const Halves& sets) {
  return sets[0].inheritable | std::uint64_t{sets[1].inheritable} << kHalfBits;
}

std::uint64_t permitted_of(const Halves& sets) {
  return sets[0].permitted | std::uint64_t{sets[1].permitted} << kHalfBits;
}

}  // namespace

std::uint64_t permitted_capabilities() { return permitted_of(own_sets()); }

std::uint64_t inheritable_capabilities() { return inheritable_of(own_sets()); }

std::uint64_t capabilities_of_file(int file) {
  vfs_ns_cap_data found{};
  const std::string path = descriptor_path(file);
  const ssize_t size = ::getxattr(path.c_str(), "security.capability", &found, sizeof(found));
  if (size < static_cast<ssize_t>(XATTR_CAPS_SZ_2)) return 0;
  const std::uint32_t revision = le32toh(found.magic_etc) & VFS_CAP_REVISION_MASK;
  if (revision != VFS_CAP_REVISION_2 && revision != VFS_CAP_REVISION_3) return 0;
  return le32toh(found.data[0].permitted) | std::uint64_t{le32toh(found.data[1].permitted)}
                                                << kHalfBits;
}

ProofOfOrigin::ProofOfOrigin(int file) : before_(inheritable_capabilities()) {
  const std::uint64_t ours = permitted_capabilities();
  if ((ours & ~capabilities_of_file(file)) == 0) set_inheritable_capabilities(before_ | ours);
}

ProofOfOrigin::~ProofOfOrigin() { set_inheritable_capabilities(before_); }

bool is_begun_by_equal() {
  if (::getauxval(AT_SECURE) == 0) return true;
  // Of other set-id programs there is no proof.
  if (::getuid() != ::geteuid() || ::getgid() != ::getegid()) return false;
  const Halves sets = own_sets();
  return permitted_of(sets) != 0 && (permitted_of(sets) & ~inheritable_of(sets)) == 0;
}

void set_inheritable_capabilities(std::uint64_t capabilities) {
  Halves sets = own_sets();
  if (inheritable_of(sets) == capabilities) return;
  sets[0].inheritable = static_cast<std::uint32_t>(capabilities);
  sets[1].inheritable = static_cast<std::uint32_t>(capabilities >> kHalfBits);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  (void)::syscall(SYS_capset, &header, sets.data());
}

}  // namespace shmvisor
