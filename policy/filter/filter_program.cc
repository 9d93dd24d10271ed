#include "policy/filter/filter_program.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "policy/base/unique_fd.h"
#include "policy/filter/arch/filtered_architectures.h"
#include "policy/filter/notified_calls.h"

namespace shmvisor {
namespace {

struct ReleaseContext {
  void operator()(scmp_filter_ctx context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, ReleaseContext>;

constexpr std::uint32_t kNoSuchCall = SCMP_ACT_ERRNO(ENOSYS);
constexpr std::uint32_t kTrace = SCMP_ACT_TRACE(0);
using CallNames = std::span<const char* const>;
constexpr std::array<const char*, 2> kTracedCalls = {"shmat", "shmdt"};
/// SCMP_ACT_NOTIFY, seccomp_api_get(3).
constexpr unsigned kApiLevel = 5;

/// libseccomp answers 0 or a negated errno.
Result<void> checked(int rc) {
  if (rc < 0) return Errno(-rc);
  return {};
}

/// Makes `context` one for a single architecture. The rules of a filter apply to all of its
/// architectures, so one that answers differently for each is merged from several.
Result<void> set_architecture(const Context& context, std::uint32_t architecture) {
  // Without this, libseccomp turns every failure of a system call into ECANCELED.
  if (auto set = checked(seccomp_attr_set(context.get(), SCMP_FLTATR_API_SYSRAWRC, 1)); !set) {
    return set;
  }
  if (auto set = checked(seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, kNoSuchCall));
      !set) {
    return set;
  }
  if (architecture == seccomp_arch_native()) return {};
  if (auto added = checked(seccomp_arch_add(context.get(), architecture)); !added) return added;
  return checked(seccomp_arch_remove(context.get(), SCMP_ARCH_NATIVE));
}

/// A rule for the call `name` of the native architecture, which libseccomp has a number for, if a
/// negative one, and translates for another architecture. `condition`: null for always.
Result<void> add_call(const Context& context, std::uint32_t action, const char* name,
                      const scmp_arg_cmp* condition = nullptr) {
  const int number = seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR) return Errno(EFAULT);
  return checked(seccomp_rule_add_exact_array(context.get(), action, number,
                                              condition == nullptr ? 0 : 1, condition));
}

Result<void> add_calls(const Context& context, std::uint32_t action, CallNames names) {
  for (const char* const name : names) {
    if (auto added = add_call(context, action, name); !added) return added;
  }
  return {};
}

/// `action` for `call` where its first argument compares so with kTracedArgument.
Result<void> add_by_argument(const Context& context, std::uint32_t action, const char* call,
                             scmp_compare comparison) {
  const scmp_arg_cmp first_argument{0, comparison, kTracedArgument, 0};
  return add_call(context, action, call, &first_argument);
}

/// The four calls; shmat and shmdt stop for a tracer where their first argument says so.
Result<void> add_notified_or_traced(const Context& context) {
  for (const char* const call : kShmCalls) {
    if (std::ranges::find(kTracedCalls, std::string_view(call)) == kTracedCalls.end()) {
      if (auto added = add_call(context, SCMP_ACT_NOTIFY, call); !added) return added;
      continue;
    }
    if (auto added = add_by_argument(context, kTrace, call, SCMP_CMP_EQ); !added) return added;
    if (auto added = add_by_argument(context, SCMP_ACT_NOTIFY, call, SCMP_CMP_NE); !added) {
      return added;
    }
  }
  return {};
}

/// unshare(2) and setns(2); but not the unshare(CLONE_VM) that SiteRewriter has a caller make,
/// which changes nothing.
Result<void> add_namespace_calls(const Context& context) {
  constexpr scmp_arg_cmp kOtherFlags{0, SCMP_CMP_NE, CLONE_VM, 0};
  if (auto added = add_call(context, SCMP_ACT_NOTIFY, "unshare", &kOtherFlags); !added) {
    return added;
  }
  return add_call(context, SCMP_ACT_NOTIFY, "setns");
}

Result<void> add_shm_calls(const Context& context, FilteredArchitecture::ShmCalls calls) {
  switch (calls) {
    case FilteredArchitecture::ShmCalls::kNotified:
      return add_calls(context, SCMP_ACT_NOTIFY, kShmCalls);
    case FilteredArchitecture::ShmCalls::kNotifiedOrTraced:
      return add_notified_or_traced(context);
    case FilteredArchitecture::ShmCalls::kMissing:
      return add_calls(context, kNoSuchCall, kShmCalls);
  }
  __builtin_unreachable();
}

/// A clone(2) that gives the child an IPC namespace of its own. The flags are its first argument.
Result<void> add_clone_with_ipc_namespace(const Context& context) {
  constexpr scmp_datum_t kNewIpc = CLONE_NEWIPC;
  const scmp_arg_cmp flags{0, SCMP_CMP_MASKED_EQ, kNewIpc, kNewIpc};
  return add_call(context, SCMP_ACT_NOTIFY, "clone", &flags);
}

/// For i386 libseccomp itself turns shmget and the others into ipc(2) with an argument equal to the
/// sub-call, beside the separate call. It misses those with a version, hence the masked rules.
Result<void> add_ipc_subcalls(const Context& context) {
  for (const std::uint32_t subcall : kShmIpcSubcalls) {
    const scmp_arg_cmp first_argument{0, SCMP_CMP_MASKED_EQ, ipc_subcall::kMask, subcall};
    if (auto added = add_call(context, SCMP_ACT_NOTIFY, kIpcCall, &first_argument); !added) {
      return added;
    }
  }
  return {};
}

/// The filter of one architecture alone.
Result<Context> make_filter_of(const FilteredArchitecture& architecture) {
  // An empty filter; nullptr when out of memory, the only failure of seccomp_init here.
  Context context(seccomp_init(SCMP_ACT_ALLOW));
  if (!context) return Errno(ENOMEM);
  if (auto set = set_architecture(context, architecture.token); !set) return set.error();
  if (auto added = add_shm_calls(context, architecture.shm_calls); !added) return added.error();
  if (auto added = add_namespace_calls(context); !added) {
    return added.error();
  }
  if (architecture.has_ipc_multiplexer) {
    if (auto added = add_ipc_subcalls(context); !added) return added.error();
  }
  if (architecture.shows_clone) {
    if (auto added = add_clone_with_ipc_namespace(context); !added) return added.error();
  }
  return context;
}

/// Puts the rules of `other` into `context`; seccomp_merge releases it only where it succeeds.
Result<void> merge(const Context& context, Context other) {
  const Result<void> merged = checked(seccomp_merge(context.get(), other.get()));
  if (merged) static_cast<void>(other.release());
  return merged;
}

/// libseccomp 2.5 exports to a descriptor only. Through a pipe, which RLIMIT_FSIZE does not bind; a
/// page is the least that one takes without a reader.
Result<std::vector<sock_filter>> exported(const Context& context) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return Errno::current();
  const UniqueFd output(ends[0]);
  const UniqueFd input(ends[1]);
  if (auto written = checked(seccomp_export_bpf(context.get(), input.get())); !written) {
    return written.error();
  }
  constexpr std::size_t kMostInstructions = 4096 / sizeof(sock_filter);
  std::vector<sock_filter> program(kMostInstructions);
  const ssize_t read_bytes =
      ::read(output.get(), program.data(), program.size() * sizeof(sock_filter));
  if (read_bytes < 0) return Errno::current();
  const auto size = static_cast<std::size_t>(read_bytes);
  // A full page may not be all.
  if (size == 0 || size % sizeof(sock_filter) != 0 ||
      size == kMostInstructions * sizeof(sock_filter)) {
    return Errno(EFAULT);
  }
  program.resize(size / sizeof(sock_filter));
  return program;
}

}  // namespace

Result<std::vector<sock_filter>> build_filter_program() {
  // By itself libseccomp asks the kernel, and refuses where a filter around us forbids seccomp(2).
  // That is for whoever installs the program to find out, and to tell.
  if (auto set = checked(seccomp_api_set(kApiLevel)); !set) return set.error();
  const auto architectures = filtered_architectures();
  const auto program = make_filter_of(architectures.front());
  if (!program) return program.error();
  for (const FilteredArchitecture& other : architectures.subspan(1)) {
    auto filter = make_filter_of(other);
    if (!filter) return filter.error();
    if (auto merged = merge(*program, std::move(*filter)); !merged) return merged.error();
  }
  return exported(*program);
}

}  // namespace shmvisor
