#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <string>

#include "supervisor/check/child.h"
#include "supervisor/check/probes.h"
#include "supervisor/inject/arch/page_code.h"
#include "supervisor/kernel/uapi.h"
#include "supervisor/kernel/yama.h"

namespace shmvisor {
namespace {

/// Runs `probe` on a child that sits still.
Finding on_idle_child(const std::function<Finding(Child&)>& probe) {
  IdleChild child;
  if (auto started = child.started(); !started) return Finding::no("fork", started.error());
  return probe(child);
}

Result<UniqueFd> open_pidfd(pid_t pid, unsigned flags) {
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, flags)));
  if (!pidfd.valid()) return Errno::current();
  return pidfd;
}

/// By it a program's code is known to be run by nobody else: SiteRewriter.
Finding probe_unshare_vm() {
  return in_throwaway_child([] {
    if (::unshare(CLONE_VM) != 0) return Finding::no("unshare", Errno::current());
    return Finding::yes();
  });
}

Finding probe_pidfd_getfd() {
  const UniqueFd ours(::memfd_create("shmvisor-check", MFD_CLOEXEC));
  if (!ours.valid()) return Finding::no("memfd_create", Errno::current());
  return on_idle_child([&](const Child& child) {
    const auto pidfd = open_pidfd(child.pid(), 0);
    if (!pidfd) return Finding::no("pidfd_open", pidfd.error());
    // Same number in the child, which is a copy of us.
    const UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd->get(), ours.get(), 0)));
    if (!copy.valid()) return Finding::no("pidfd_getfd", Errno::current());
    return Finding::yes();
  });
}

Finding probe_pidfd_thread() {
  return on_idle_child([](const Child& child) {
    const auto pidfd = open_pidfd(child.pid(), PIDFD_THREAD);
    if (!pidfd) return Finding::no("pidfd_open", pidfd.error());
    return Finding::yes();
  });
}

Finding probe_pidfd_get_info() {
  return on_idle_child([](const Child& child) {
    const auto pidfd = open_pidfd(child.pid(), 0);
    if (!pidfd) return Finding::no("pidfd_open", pidfd.error());
    pidfd_info info{};
    info.mask = PIDFD_INFO_PID | PIDFD_INFO_CREDS;
    if (::ioctl(pidfd->get(), PIDFD_GET_INFO, &info) != 0) {
      return Finding::no("PIDFD_GET_INFO", Errno::current());
    }
    if ((info.mask & PIDFD_INFO_CREDS) == 0 || info.pid != static_cast<__u32>(child.pid()) ||
        info.euid != ::geteuid()) {
      return Finding::no("PIDFD_GET_INFO told of another process");
    }
    return Finding::yes();
  });
}

Finding probe_procmap_query() {
  return on_idle_child([](const Child& child) {
    const std::string path = "/proc/" + std::to_string(child.pid()) + "/maps";
    const UniqueFd maps(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!maps.valid()) return Finding::no("open of " + path, Errno::current());
    procmap_query query{};
    query.size = sizeof(query);
    query.query_flags = PROCMAP_QUERY_COVERING_OR_NEXT_VMA | PROCMAP_QUERY_FILE_BACKED_VMA;
    if (::ioctl(maps.get(), PROCMAP_QUERY, &query) != 0) {
      return Finding::no("PROCMAP_QUERY", Errno::current());
    }
    // The program itself is mapped from a file.
    if (query.vma_start >= query.vma_end || query.inode == 0) {
      return Finding::no("PROCMAP_QUERY found no file mapping");
    }
    return Finding::yes();
  });
}

Finding probe_process_vm() {
  // The child has it at the same address, with the value from before the fork.
  static std::uint64_t cell;
  cell = 0;
  return on_idle_child([](const Child& child) {
    std::uint64_t sent = 0x0123456789abcdef;
    std::uint64_t received = 0;
    const iovec remote = {&cell, sizeof(cell)};
    const iovec source = {&sent, sizeof(sent)};
    const iovec sink = {&received, sizeof(received)};
    constexpr ssize_t kAll = sizeof(cell);
    if (::process_vm_writev(child.pid(), &source, 1, &remote, 1, 0) != kAll) {
      return Finding::no("process_vm_writev", Errno::current());
    }
    if (::process_vm_readv(child.pid(), &sink, 1, &remote, 1, 0) != kAll) {
      return Finding::no("process_vm_readv", Errno::current());
    }
    if (received != sent || cell != 0) return Finding::no("wrote to another place than asked");
    return Finding::yes();
  });
}

/// Runs `probe` on a child that is held in a ptrace-stop.
Finding on_held_child(const std::function<Finding(pid_t)>& probe) {
  return on_idle_child([&](Child& child) {
    if (::ptrace(PTRACE_SEIZE, child.pid(), nullptr, nullptr) != 0) {
      return Finding::no("PTRACE_SEIZE", Errno::current());
    }
    if (::ptrace(PTRACE_INTERRUPT, child.pid(), nullptr, nullptr) != 0) {
      return Finding::no("PTRACE_INTERRUPT", Errno::current());
    }
    const Result<int> status = child.wait(__WALL);
    if (!status) return Finding::no("no stop", status.error());
    if (!WIFSTOPPED(*status) || *status >> 16 != PTRACE_EVENT_STOP) {
      return Finding::no("stopped, but not by PTRACE_EVENT_STOP");
    }
    Finding finding = probe(child.pid());
    if (::ptrace(PTRACE_DETACH, child.pid(), nullptr, nullptr) != 0) {
      return Finding::no("PTRACE_DETACH", Errno::current());
    }
    return finding;
  });
}

Finding probe_ptrace() {
  return on_held_child([](pid_t) { return Finding::yes(); });
}

Finding probe_user_dispatch_config() {
  return on_held_child([](pid_t pid) {
    ptrace_sud_config dispatch{};
    if (::ptrace(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG), pid,
                 reinterpret_cast<void*>(sizeof(dispatch)), &dispatch) != 0) {
      return Finding::no("PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG", Errno::current());
    }
    return Finding::yes();
  });
}

Finding probe_yama() {
  const auto scope = yama::ptrace_scope();
  if (!scope) return Finding::note("absent", "no restriction on ptrace");
  const std::string value = "ptrace_scope " + std::to_string(*scope);
  switch (*scope) {
    case yama::kUnrestricted:
      return Finding::note(value, "no restriction on ptrace");
    case yama::kDescendants:
      return Finding::note(value,
                           "without CAP_SYS_PTRACE descendants only, so that orphans become "
                           "children of shmvisor's, and no other run can join");
    case yama::kPrivileged:
      return Finding::note(value, "only with CAP_SYS_PTRACE: see ptrace");
    default:
      return Finding::note(value, "nobody may attach: see ptrace");
  }
}

Finding probe_kcmp() {
  return on_idle_child([](const Child& child) {
    const long same = ::syscall(SYS_kcmp, ::getpid(), ::getpid(), KCMP_VM, 0, 0);
    if (same < 0) return Finding::no("kcmp", Errno::current());
    const long other = ::syscall(SYS_kcmp, ::getpid(), child.pid(), KCMP_VM, 0, 0);
    if (other < 0) return Finding::no("kcmp", Errno::current());
    if (same != 0 || other == 0) return Finding::no("kcmp cannot tell address spaces apart");
    return Finding::yes();
  });
}

/// An orphan must become a child of the subreaper above it.
Finding probe_subreaper() {
  return in_throwaway_child([] {
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
      return Finding::no("PR_SET_CHILD_SUBREAPER", Errno::current());
    }
    const pid_t child = ::fork();
    if (child < 0) return Finding::no("fork", Errno::current());
    if (child == 0) ::_exit(::fork() == 0 ? 0 : 1);
    // Both end by themselves, so that waiting for them is bounded.
    for (int reaped = 0; reaped < 2;) {
      if (::wait(nullptr) > 0) {
        ++reaped;
      } else if (errno != EINTR) {
        return Finding::no("an orphan went elsewhere", Errno::current());
      }
    }
    return Finding::yes();
  });
}

Finding probe_call_sites() {
  if (page_code::bytes().empty()) return Finding::no("there is no call page on this processor");
  return probe_unshare_vm();
}

Finding probe_namespace_handles() {
  const UniqueFd file(::open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return Finding::no("/proc/self/ns/ipc", Errno::current());
  alignas(8) std::array<std::byte, sizeof(file_handle) + MAX_HANDLE_SZ> bytes{};
  auto* const handle = reinterpret_cast<file_handle*>(bytes.data());
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount = 0;
  if (::name_to_handle_at(file.get(), "", handle, &mount, AT_EMPTY_PATH) != 0) {
    return Finding::no("name_to_handle_at", Errno::current());
  }
  const UniqueFd opened(::open_by_handle_at(FD_NSFS_ROOT, handle, O_PATH | O_CLOEXEC));
  // The kernel says ESTALE to who may not.
  if (!opened.valid() && errno == ESTALE) {
    return Finding::no("open_by_handle_at needs CAP_SYS_ADMIN", Errno(EPERM));
  }
  if (!opened.valid()) return Finding::no("open_by_handle_at", Errno::current());
  return Finding::yes();
}

}  // namespace

std::vector<Probe> process_probes() {
  using enum Probe::Need;
  return {
      feature_probe(KernelFeature::kPidfdGetfd, probe_pidfd_getfd,
                    "the listener is sent over a socket"),
      feature_probe(KernelFeature::kPidfdThread, probe_pidfd_thread,
                    "/proc/PID/status at each call, slower"),
      feature_probe(KernelFeature::kPidfdGetInfo, probe_pidfd_get_info, "/proc/PID/status, slower"),
      feature_probe(KernelFeature::kProcmapQuery, probe_procmap_query, "/proc/PID/maps, slower"),
      {"process-vm", probe_process_vm,
       "a caller's structures cannot be read and written: a container's profile must allow "
       "process_vm_readv(2) and process_vm_writev(2), Yama what is said at ptrace",
       kFatal},
      {"ptrace", probe_ptrace,
       "nothing can be mapped into a caller: a container needs CAP_SYS_PTRACE or a profile that "
       "allows ptrace(2), Yama a ptrace_scope of 0 or 1, or of 2 with CAP_SYS_PTRACE",
       kFatal},
      feature_probe(KernelFeature::kUserDispatchConfig, probe_user_dispatch_config,
                    "attaches and detaches take one stop more"),
      feature_probe(KernelFeature::kCallSites, probe_call_sites,
                    "attaches and detaches stop their caller"),
      // Nothing that a kernel could lack.
      feature_probe(
          KernelFeature::kLateCallSites, [] { return Finding::yes(); },
          "programs' code is changed at their first attach and detach"),
      feature_probe(KernelFeature::kNamespaceHandles, probe_namespace_handles,
                    "an IPC namespace that only a descriptor under way holds is forgotten"),
      {"yama", probe_yama, ""},
      feature_probe(KernelFeature::kKcmp, probe_kcmp,
                    "a parent that waits for its vfork child is recognised by /proc/PID/stat"),
      {"subreaper", probe_subreaper,
       "processes that lose their parent are neither reaped nor counted in shm_nattch"},
  };
}

}  // namespace shmvisor
