#include "supervisor/join/admission.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdint>

#include "supervisor/process/borrowed_identity.h"
#include "supervisor/process/thread_identity.h"

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = std::size_t{256} * 1024;

/// What mapping into a process takes. Reading at no valid address tells whether we may, and
/// nothing else.
bool is_within_reach(pid_t pid) {
  const auto outcome = reach(pid, kToTrace, [pid]() -> Result<void> {
    char byte = 0;
    iovec local{&byte, 1};
    iovec remote{nullptr, 1};
    if (::process_vm_readv(pid, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT) return {};
    return Errno::current();
  });
  return outcome.ok();
}

/// Invalid where it is ours, as FuseMount wants it.
UniqueFd other_than_ours(const UniqueFd& user_namespace) {
  struct stat status {};
  const bool ours =
      ::fstat(user_namespace.get(), &status) == 0 && status.st_ino == NamespaceIds::ours().user;
  return UniqueFd(ours ? -1 : ::dup(user_namespace.get()));
}

}  // namespace

Result<std::shared_ptr<Admission>> Admission::begin(pid_t pid, UniqueFd user_namespace) {
  UniqueFd over_event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!over_event.valid()) return Errno::current();
  auto admission =
      std::make_shared<Admission>(pid, std::move(user_namespace), std::move(over_event));
  auto share = std::make_unique<std::shared_ptr<Admission>>(admission);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_t thread{};
  const auto entry = [](void* shared) -> void* {
    const std::unique_ptr<std::shared_ptr<Admission>> own(
        static_cast<std::shared_ptr<Admission>*>(shared));
    (*own)->run();
    return nullptr;
  };
  const int error = pthread_create(&thread, &attributes, entry, share.get());
  pthread_attr_destroy(&attributes);
  if (error != 0) return Errno(EAGAIN);
  static_cast<void>(share.release());  // the thread's
  return admission;
}

void Admission::run() {
  findings_.within_reach = is_within_reach(pid_);
  if (findings_.within_reach && user_namespace_.valid()) {
    findings_.user_namespace = other_than_ours(user_namespace_);
    findings_.missing = findings_.files.make_for(findings_.user_namespace);
  }
  over_.store(true);
  const std::uint64_t once = 1;
  (void)!::write(over_event_.get(), &once, sizeof(once));
}

}  // namespace shmvisor
