// Who says that a program is to go on with what another one left: our own program, or a stranger.
//
// The environment and the words of a program are its starter's. Where a file gives its program
// rights (file capabilities, capabilities(7)), a stranger who starts that program must not steer it
// by what only we are to say. The kernel tells such a start by AT_SECURE, getauxval(3). The proof
// is the inheritable set: execve(2) keeps it, and no process can add a capability to it that it
// lacks. So we add all of ours before we execute a program, and it finds no more than those in the
// other set. Only a file that gives its program all of ours gets that proof: any other program
// might hand it on, since its rights are the user's.
//
// Source: cap_capset() and cap_bprm_creds_from_file() of security/commoncap.c. Thread rule: the
// main thread, while it is the only one.
#pragma once

#include <cstdint>

namespace shmvisor {

/// Sets of this process, one bit for each capability.
[[nodiscard]] std::uint64_t permitted_capabilities();
[[nodiscard]] std::uint64_t inheritable_capabilities();

/// Which capabilities a file permits its program; none where it says nothing of that. `file` may be
/// open for its path alone.
[[nodiscard]] std::uint64_t capabilities_of_file(int file);

/// Adds all permitted capabilities to the inheritable ones, for as long as this exists, if that
/// file gives its program all of them.
class ProofOfOrigin {
 public:
  explicit ProofOfOrigin(int file);
  ProofOfOrigin(const ProofOfOrigin&) = delete;
  ProofOfOrigin& operator=(const ProofOfOrigin&) = delete;
  ~ProofOfOrigin();

 private:
  const std::uint64_t before_;
};

/// Whether this program was executed by one that had the same rights.
[[nodiscard]] bool is_begun_by_equal();
/// What this process lets programs inherit. Nothing changes where the kernel refuses that.
void set_inheritable_capabilities(std::uint64_t capabilities);

}  // namespace shmvisor
