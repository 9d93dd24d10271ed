#include "integration/differential/worker.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/shm.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = 64 * 1024;
constexpr long kLargestErrno = 4095;

// One place for each address space. A forked worker has copies; those that share an address space
// take turns.
alignas(4096) char g_buffer[4096];
alignas(16) char g_stacks[kMaxWorkers + 1][kStackBytes];
char g_text[kMostText];
sigjmp_buf g_fault;

void on_fault(int signal_number) { siglongjmp(g_fault, signal_number); }

int socket_of(int index) { return kWorkerFd + index; }

#ifdef __x86_64__
/// As the C library's shmat and shmdt make it, which syscall(2) does not: so that shmvisor may have
/// the place lead elsewhere.
template <long number>
long call_at_site(const long* arguments) {
  long result;
  asm volatile("nop; mov %1, %%eax; syscall"
               : "=a"(result)
               : "i"(number), "D"(arguments[0]), "S"(arguments[1]), "d"(arguments[2])
               : "rcx", "r11", "memory");
  if (result >= 0 || result < -kLargestErrno) return result;
  errno = static_cast<int>(-result);
  return -1;
}
#endif

long call(long number, const std::int64_t* arguments) {
  long narrow[kMostOperands];
  for (std::size_t i = 0; i < kMostOperands; ++i) narrow[i] = static_cast<long>(arguments[i]);
#ifdef __x86_64__
  if (number == SYS_shmat) return call_at_site<SYS_shmat>(narrow);
  if (number == SYS_shmdt) return call_at_site<SYS_shmdt>(narrow);
#endif
  return ::syscall(number, narrow[0], narrow[1], narrow[2], narrow[3], narrow[4], narrow[5]);
}

#ifdef __i386__
/// compat_ksys_ipc() of ipc/syscall.c.
long call_through_ipc(Kind kind, const std::int64_t* arguments) {
  constexpr long kShmatCall = 21;
  constexpr long kShmdtCall = 22;
  constexpr long kShmgetCall = 23;
  constexpr long kShmctlCall = 24;
  constexpr long kIpc64 = 0x100;
  const auto first = static_cast<long>(arguments[0]);
  const auto second = static_cast<long>(arguments[1]);
  const auto third = static_cast<long>(arguments[2]);
  switch (kind) {
    case Kind::kShmget:
      return ::syscall(SYS_ipc, kShmgetCall, first, second, third, 0, 0);
    case Kind::kShmat: {
      long address = -1;
      const long result = ::syscall(SYS_ipc, kShmatCall, first, third, &address, second, 0);
      return result == 0 ? address : -1;
    }
    case Kind::kShmdt:
      return ::syscall(SYS_ipc, kShmdtCall, 0, 0, 0, first, 0);
    default:
      return ::syscall(SYS_ipc, kShmctlCall, first, second | kIpc64, 0, third, 0);
  }
}
#endif

/// The call that an operation is, by its own number or through ipc(2).
long make_call(const Request& request, long number) {
#ifdef __i386__
  if (request.through_ipc != 0 && request.kind <= Kind::kShmctl) {
    return call_through_ipc(request.kind, request.arguments);
  }
#endif
  return call(number, request.arguments);
}

int run_child(void* index) {
  Worker(static_cast<int>(reinterpret_cast<std::intptr_t>(index))).run();
}

}  // namespace

std::uint64_t Worker::buffer_address() { return reinterpret_cast<std::uintptr_t>(g_buffer); }

std::uint64_t Worker::code_address() {
  return reinterpret_cast<std::uintptr_t>(&Worker::code_address);
}

void Worker::install_fault_handlers() {
  struct sigaction action {};
  action.sa_handler = on_fault;
  action.sa_flags = SA_NODEFER;
  ::sigaction(SIGSEGV, &action, nullptr);
  ::sigaction(SIGBUS, &action, nullptr);
}

void Worker::run_after_exec(int index) {
  // An exec that gains privileges gives the address space its random layout back.
  const int persona = ::personality(0xffffffff);
  if (persona >= 0 && (persona & ADDR_NO_RANDOMIZE) == 0) {
    ::personality(static_cast<unsigned>(persona) | ADDR_NO_RANDOMIZE);
    Request request;
    request.kind = Kind::kExec;
    Worker(index).carry_out(request);
  }
  install_fault_handlers();
  Worker(index).run();
}

void Worker::run() {
  greet();
  for (;;) {
    Request request;
    const ssize_t got = ::recv(socket_of(index_), &request, sizeof(request), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got != static_cast<ssize_t>(sizeof(request))) ::_exit(3);
    carry_out(request);
  }
}

void Worker::greet() const { answer(0); }

void Worker::respond(Response& response) const {
  response.process = ::getpid();
  response.thread = static_cast<std::int32_t>(::syscall(SYS_gettid));
  iovec parts[2] = {{&response, sizeof(response)}, {g_text, response.text_size}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (::sendmsg(socket_of(index_), &message, MSG_NOSIGNAL) < 0) ::_exit(3);
}

void Worker::answer(long result) const {
  Response response;
  if (result == -1) response.error = errno;
  // Addresses of 32-bit programs are not negative.
  response.result = result < 0 && result > -4096
                        ? result
                        : static_cast<std::int64_t>(static_cast<unsigned long>(result));
  respond(response);
}

void Worker::carry_out(const Request& request) {
  const long number = info_of(request.kind).syscall;
  if (number >= 0) return answer(make_call(request, number));
  switch (request.kind) {
    case Kind::kShmctl:
      return control(request);
    case Kind::kRead:
    case Kind::kWrite:
      return access_memory(request);
    case Kind::kProcTable:
      return read_proc_table();
    case Kind::kFork:
      return begin_process(request);
    case Kind::kVfork:
      return begin_task(request, CLONE_VM | CLONE_VFORK | CLONE_PARENT | SIGCHLD);
    case Kind::kCloneVm:
      return begin_task(request, CLONE_VM | CLONE_PARENT | SIGCHLD);
    case Kind::kThread:
      return begin_task(request, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES |
                                     CLONE_SYSVSEM);
    case Kind::kExec: {
      char option[] = "--worker";
      char index[] = {static_cast<char>('0' + index_), 0};
      char program[] = "worker";
      char* const arguments[] = {program, option, index, nullptr};
      char* const environment[] = {nullptr};
      return answer(::syscall(SYS_execveat, kProgramFd, "", arguments, environment, AT_EMPTY_PATH));
    }
    case Kind::kExit:
      ::_exit(0);
    case Kind::kExitThread:
      ::syscall(SYS_exit, 0);
      ::_exit(0);
    case Kind::kChurn:
      return answer(churn(request.arguments[0]));
    case Kind::kSetgroups:
      return answer(set_groups(request));
    case Kind::kCapset:
      return answer(set_capabilities(request));
    case Kind::kSetrlimit: {
      // struct rlimit64, which 32-bit headers do not show.
      struct {
        std::uint64_t soft;
        std::uint64_t hard;
      } limit{};
      const auto resource = static_cast<int>(request.arguments[0]);
      if (::syscall(SYS_prlimit64, 0, resource, nullptr, &limit) != 0) return answer(-1);
      limit.soft = std::min(static_cast<std::uint64_t>(request.arguments[1]), limit.hard);
      return answer(::syscall(SYS_prlimit64, 0, resource, &limit, nullptr));
    }
    case Kind::kDumpable:
      return answer(::prctl(PR_SET_DUMPABLE, static_cast<unsigned long>(request.arguments[0])));
    case Kind::kChroot:
      return answer(::chroot("/dev"));
    case Kind::kUnshareIpc:
      return answer(::syscall(SYS_unshare, CLONE_NEWIPC));
    case Kind::kSetnsIpc:
      return answer(enter_ipc_namespace(request.thread));
    case Kind::kSysctl:
      return answer(write_sysctl(request));
    default:
      errno = ENOSYS;
      return answer(-1);
  }
}

void Worker::begin_process(const Request& request) {
  const long child = ::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
  if (child != 0) return answer(child);
  index_ = request.child;
  greet();
}

void Worker::begin_task(const Request& request, int flags) {
  char* const stack = g_stacks[request.child_stack];
  void* const index = reinterpret_cast<void*>(static_cast<std::intptr_t>(request.child));
  answer(::clone(run_child, stack + kStackBytes, flags, index));
}

void Worker::access_memory(const Request& request) const {
  Response response;
  auto* const place =
      reinterpret_cast<volatile std::uint64_t*>(static_cast<std::uintptr_t>(request.arguments[0]));
  const int faulted = sigsetjmp(g_fault, 0);
  if (faulted != 0) {
    response.signal = faulted;
  } else if (request.kind == Kind::kWrite) {
    *place = static_cast<std::uint64_t>(request.arguments[1]);
  } else {
    response.result = static_cast<std::int64_t>(*place);
  }
  respond(response);
}

void Worker::control(const Request& request) const {
  Response response;
  std::memset(g_buffer, kUntouched, sizeof(response.buffer));
  const auto command = static_cast<int>(request.arguments[1]);
  if (command == IPC_SET) {
    shmid64_ds wanted{};
    wanted.shm_perm.uid = static_cast<__kernel_uid32_t>(request.arguments[3]);
    wanted.shm_perm.gid = static_cast<__kernel_gid32_t>(request.arguments[4]);
    wanted.shm_perm.mode = static_cast<decltype(wanted.shm_perm.mode)>(request.arguments[5]);
    std::memcpy(g_buffer, &wanted, sizeof(wanted));
  }
  response.result = make_call(request, SYS_shmctl);
  if (response.result == -1) response.error = errno;
  std::memcpy(response.buffer, g_buffer, sizeof(response.buffer));
  respond(response);
}

void Worker::read_proc_table() const {
  const int fd = ::open("/proc/sysvipc/shm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return answer(-1);
  Response response;
  while (response.text_size < sizeof(g_text)) {
    const ssize_t got =
        ::read(fd, g_text + response.text_size, sizeof(g_text) - response.text_size);
    if (got <= 0) break;
    response.text_size += static_cast<std::uint32_t>(got);
  }
  ::close(fd);
  respond(response);
}

long Worker::churn(std::int64_t count) {
  long id = -1;
  for (std::int64_t i = 0; i < count; ++i) {
    id = ::syscall(SYS_shmget, IPC_PRIVATE, 1, IPC_CREAT | 0600);
    if (id < 0 || ::syscall(SYS_shmctl, id, IPC_RMID, nullptr) != 0) return -1;
  }
  return id;
}

long Worker::set_groups(const Request& request) {
#ifdef SYS_setgroups32
  constexpr long number = SYS_setgroups32;
#else
  constexpr long number = SYS_setgroups;
#endif
  const gid_t groups[2] = {static_cast<gid_t>(request.arguments[1]),
                           static_cast<gid_t>(request.arguments[2])};
  return ::syscall(number, request.arguments[0] < 2 ? request.arguments[0] : 2, groups);
}

long Worker::set_capabilities(const Request& request) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  if (::syscall(SYS_capget, &header, data) != 0) return -1;
  const auto mask = static_cast<std::uint64_t>(request.arguments[0]);
  data[0].effective = data[0].permitted & static_cast<__u32>(mask);
  data[1].effective = data[1].permitted & static_cast<__u32>(mask >> 32);
  return ::syscall(SYS_capset, &header, data);
}

long Worker::enter_ipc_namespace(int thread) {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%d/ns/ipc", thread);
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const int result = ::setns(fd, CLONE_NEWIPC);
  const int error = errno;
  ::close(fd);
  errno = error;
  return result;
}

long Worker::write_sysctl(const Request& request) {
  const char* const names[] = {"shmmax", "shmall", "shmmni", "shm_rmid_forced", "shm_next_id"};
  if (request.arguments[0] < 0 || request.arguments[0] >= 5) {
    errno = EINVAL;
    return -1;
  }
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/sys/kernel/%s", names[request.arguments[0]]);
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  char value[32];
  const int size =
      std::snprintf(value, sizeof(value), "%lld", static_cast<long long>(request.arguments[1]));
  const ssize_t written = ::write(fd, value, static_cast<std::size_t>(size));
  const int error = errno;
  ::close(fd);
  errno = error;
  return written < 0 ? -1 : 0;
}

}  // namespace shmvisor
