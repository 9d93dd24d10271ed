#include "supervisor/keeper/proof_of_origin.h"

#include <linux/capability.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

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

ProofOfOrigin::ProofOfOrigin() : before_(inheritable_capabilities()) {
  set_inheritable_capabilities(before_ | permitted_capabilities());
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
