#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "policy/filter/filter_program.h"
#include "supervisor/check/child.h"
#include "supervisor/check/probes.h"
#include "supervisor/kernel/seccomp_install.h"
#include "supervisor/kernel/uapi.h"

namespace shmvisor {
namespace {

/// The value with which a probe answers its call; shmdt(2) never returns it by itself.
constexpr long kAnswer = 4242;

/// Installs the filter on the calling process, a throw-away one.
Result<UniqueFd> install(InstallFlags flags) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Errno::current();
  const auto program = build_filter_program();
  if (!program) return program.error();
  return install_filter(*program, flags);
}

/// One call of a child that waits for us to answer it.
class WaitingCall {
 public:
  WaitingCall(const UniqueFd& listener, pid_t caller) : listener_(listener), caller_(caller) {}

  [[nodiscard]] pid_t caller() const { return caller_; }

  /// As with all of these calls, 0 or more on success.
  int receive() { return ::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &request_); }
  /// Whether there is another notification within that time.
  bool comes_again(std::chrono::milliseconds time) {
    pollfd ready = {listener_.get(), POLLIN, 0};
    return ::poll(&ready, 1, static_cast<int>(time.count())) > 0 && (ready.revents & POLLIN) != 0;
  }
  int still_waits() { return ::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &request_.id); }
  int answer(long value) {
    seccomp_notif_resp response{};
    response.id = request_.id;
    response.val = value;
    return ::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &response);
  }
  int set_flags(unsigned long flags) {
    return ::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);
  }
  /// Puts a descriptor of ours into the caller; its number there.
  int add_fd(int fd, std::uint32_t flags) {
    seccomp_notif_addfd add{};
    add.id = request_.id;
    add.flags = flags;
    add.srcfd = static_cast<std::uint32_t>(fd);
    add.newfd_flags = O_CLOEXEC;
    return ::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &add);
  }

 private:
  const UniqueFd& listener_;
  pid_t caller_;
  seccomp_notif request_{};
};

/// The notified call of these probes; shmdt(NULL) harms nothing should it ever get through.
long call_shm() { return ::syscall(SYS_shmdt, nullptr); }

bool gets_the_answer() { return call_shm() == kAnswer; }

/// The finding of probes that need a listener, where there is none.
Finding not_tried(Errno error) {
  return Finding::note("not tried",
                       error == Errno(EBUSY) ? "see no-other-listener" : "see listener");
}

/// Lets a child make the notified call: `serve` answers it, and `caller`, in the child, makes it
/// and tells whether the right thing came back.
Finding with_waiting_call(InstallFlags flags, const std::function<Finding(WaitingCall&)>& serve,
                          const std::function<bool()>& caller) {
  return in_throwaway_child([&] {
    const Result<UniqueFd> listener = install(flags);
    if (!listener) {
      // EINVAL where a plain listener would do: the kernel does not know the flag.
      const bool flag_unknown = flags.wait_killable_recv && listener.error() == Errno(EINVAL);
      return flag_unknown ? Finding::no("seccomp", listener.error()) : not_tried(listener.error());
    }
    Child child([&] { return caller() ? 0 : 1; });
    if (auto started = child.started(); !started) return Finding::no("fork", started.error());

    if (auto called = wait_readable(listener->get()); !called) {
      return Finding::no("no notification", called.error());
    }
    WaitingCall call(*listener, child.pid());
    if (call.receive() < 0) return Finding::no("SECCOMP_IOCTL_NOTIF_RECV", Errno::current());
    Finding finding = serve(call);
    if (finding.state != Finding::State::kYes) return finding;

    const Result<int> status = child.wait(0);
    if (!status) return Finding::no("the answered caller", status.error());
    if (*status != 0) return Finding::no("the caller got another answer than was given");
    return finding;
  });
}

Finding answer(WaitingCall& call) {
  if (call.answer(kAnswer) < 0) return Finding::no("SECCOMP_IOCTL_NOTIF_SEND", Errno::current());
  return Finding::yes();
}

Finding probe_listener() {
  Finding installed = in_throwaway_child([] {
    const Result<UniqueFd> listener = install({.wait_killable_recv = false});
    if (listener) return Finding::yes();
    if (listener.error() == Errno(EBUSY)) return not_tried(listener.error());
    return Finding::no("seccomp", listener.error());
  });
  if (installed.state != Finding::State::kYes) return installed;
  return with_waiting_call({.wait_killable_recv = false}, answer, gets_the_answer);
}

volatile sig_atomic_t signals_handled = 0;

/// A signal that the caller handles must leave the received call as it is, and come after it.
Finding probe_wait_killable_recv() {
  return with_waiting_call(
      {.wait_killable_recv = true},
      [](WaitingCall& call) {
        if (::kill(call.caller(), SIGUSR1) != 0) return Finding::no("kill", Errno::current());
        // A kernel without it refuses the flag: that is the sure sign. One that takes it and voids
        // the call all the same notifies it anew, which may come too late to be seen here.
        if (call.comes_again(std::chrono::milliseconds(10)) || call.still_waits() < 0) {
          return Finding::no("a signal voids a received call");
        }
        return answer(call);
      },
      [] {
        struct sigaction action {};
        action.sa_handler = [](int) { signals_handled = signals_handled + 1; };
        sigset_t none;
        ::sigemptyset(&none);
        if (::sigaction(SIGUSR1, &action, nullptr) != 0 ||
            ::sigprocmask(SIG_SETMASK, &none, nullptr) != 0 || !gets_the_answer()) {
          return false;
        }
        // The kernel has run the handler by now; a thread sanitizer runs it at the next wait only.
        while (signals_handled == 0) ::usleep(1000);
        return signals_handled == 1;
      });
}

Finding probe_sync_wake_up() {
  return with_waiting_call(
      {.wait_killable_recv = false},
      [](WaitingCall& call) {
        if (call.set_flags(SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) < 0) {
          return Finding::no("SECCOMP_IOCTL_NOTIF_SET_FLAGS", Errno::current());
        }
        return answer(call);
      },
      gets_the_answer);
}

/// A descriptor that the caller did not have: of a memfd with this many bytes in it.
constexpr off_t kMarkBytes = 12345;

Result<UniqueFd> marked_file() {
  UniqueFd file(::memfd_create("shmvisor-check", MFD_CLOEXEC));
  if (!file.valid() || ::ftruncate(file.get(), kMarkBytes) != 0) return Errno::current();
  return file;
}

/// Whether the call's result is a descriptor of the marked file, closed on exec.
bool gets_the_marked_file() {
  const long fd = call_shm();
  struct stat status {};
  return fd >= 0 && ::fstat(static_cast<int>(fd), &status) == 0 && status.st_size == kMarkBytes &&
         (::fcntl(static_cast<int>(fd), F_GETFD) & FD_CLOEXEC) != 0;
}

Finding probe_addfd() {
  return with_waiting_call(
      {.wait_killable_recv = false},
      [](WaitingCall& call) {
        const Result<UniqueFd> file = marked_file();
        if (!file) return Finding::no("memfd_create", file.error());
        const int remote_fd = call.add_fd(file->get(), 0);
        if (remote_fd < 0) return Finding::no("SECCOMP_IOCTL_NOTIF_ADDFD", Errno::current());
        if (call.answer(remote_fd) < 0) {
          return Finding::no("SECCOMP_IOCTL_NOTIF_SEND", Errno::current());
        }
        return Finding::yes();
      },
      gets_the_marked_file);
}

/// The same, and the answer with it.
Finding probe_addfd_send() {
  return with_waiting_call(
      {.wait_killable_recv = false},
      [](WaitingCall& call) {
        const Result<UniqueFd> file = marked_file();
        if (!file) return Finding::no("memfd_create", file.error());
        if (call.add_fd(file->get(), SECCOMP_ADDFD_FLAG_SEND) < 0) {
          return Finding::no("SECCOMP_ADDFD_FLAG_SEND", Errno::current());
        }
        return Finding::yes();
      },
      gets_the_marked_file);
}

Finding probe_no_other_listener() {
  return in_throwaway_child([] {
    const Result<UniqueFd> listener = install({.wait_killable_recv = false});
    if (listener) return Finding::yes();
    if (listener.error() == Errno(EBUSY)) return Finding::no("already supervised");
    return not_tried(listener.error());
  });
}

Finding probe_no_new_privs() {
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) {
    return Finding::note("set already", "programs gain no privileges here, with or without us");
  }
  return in_throwaway_child([] {
    const auto program = build_filter_program();
    if (!program) return Finding::no("filter", program.error());
    const auto listener = install_filter(*program, {.wait_killable_recv = false});
    if (listener) return Finding::note("not needed", "setuid programs keep their privileges");
    if (listener.error() == Errno(EACCES)) {
      return Finding::note("needed", "without CAP_SYS_ADMIN: setuid programs gain no privileges");
    }
    return not_tried(listener.error());
  });
}

}  // namespace

std::vector<Probe> notify_probes() {
  using enum Probe::Need;
  return {
      {"no-other-listener", probe_no_other_listener,
       "a process can be supervised once: start shmvisor outside of the container runtime or the "
       "other shmvisor that does",
       kFatal},
      {"listener", probe_listener,
       "shm calls cannot be answered: the kernel needs CONFIG_SECCOMP_FILTER, and a container's "
       "seccomp profile must allow seccomp(2)",
       kFatal},
      feature_probe(KernelFeature::kWaitKillableRecv, probe_wait_killable_recv,
                    "callers are stopped before they are answered, slower; a handler without "
                    "SA_RESTART may end a call with EINTR"),
      feature_probe(KernelFeature::kSyncWakeUp, probe_sync_wake_up, "ordinary wake-ups, slower"),
      {"addfd", probe_addfd,
       "a segment cannot be handed to its caller: Linux 5.9 or later is needed", kFatal},
      feature_probe(KernelFeature::kAddfdSend, probe_addfd_send,
                    "a descriptor is handed over before the answer, slower"),
      {"no-new-privs", probe_no_new_privs, ""},
  };
}

}  // namespace shmvisor
