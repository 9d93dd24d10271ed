#include "supervisor/join/admission.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdint>
#include <new>

#include "policy/base/held_locks.h"
#include "supervisor/credentials/borrowed_identity.h"
#include "supervisor/credentials/thread_identity.h"
#include "supervisor/credentials/thread_namespace.h"
#include "supervisor/kernel/thread.h"

namespace shmvisor {
namespace {

constexpr std::size_t kStackBytes = std::size_t{256} * 1024;

/// What mapping into a process takes. Reading at no valid address tells whether we may, and
/// nothing else.
bool is_within_reach(pid_t pid) {
  HeldLocks::assert_may_wait();
  const auto outcome = with_identity_of(pid, kToTrace, [pid]() -> Result<void> {
    char byte = 0;
    iovec local{&byte, 1};
    iovec remote{nullptr, 1};
    if (::process_vm_readv(pid, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT) return {};
    return Errno::current();
  });
  return outcome.ok();
}

bool is_ours(const UniqueFd& user_namespace) {
  struct stat status {};
  return ::fstat(user_namespace.get(), &status) == 0 && status.st_ino == NamespaceIds::ours().user;
}

}  // namespace

Result<std::shared_ptr<Admission>> Admission::begin(pid_t pid, uid_t payer,
                                                    const UniqueFd& connection) {
  UniqueFd over_event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!over_event.valid()) return Errno::current();
  UniqueFd own_connection(::fcntl(connection.get(), F_DUPFD_CLOEXEC, 0));
  if (!own_connection.valid()) return Errno::current();
  auto admission =
      std::make_shared<Admission>(pid, payer, std::move(own_connection), std::move(over_event));
  auto share = std::make_unique<std::shared_ptr<Admission>>(admission);
  const auto entry = [](void* shared) -> void* {
    const std::unique_ptr<std::shared_ptr<Admission>> own(
        static_cast<std::shared_ptr<Admission>*>(shared));
    (*own)->run();
    return nullptr;
  };
  if (!start_detached(entry, share.get(), kStackBytes)) return Errno(EAGAIN);
  static_cast<void>(share.release());  // the thread's
  return admission;
}

void Admission::run() noexcept {
  receive_screened(std::move(connection_), std::move(room_),
                   [this](Result<ScreenedRequest> asked) { find(std::move(asked)); });
}

void Admission::find(Result<ScreenedRequest> asked) {
  try {
    look_into(std::move(asked));
  } catch (const std::bad_alloc&) {
    findings_.out_of_memory = true;
  }
  over_.store(true);
  const std::uint64_t once = 1;
  (void)!::write(over_event_.get(), &once, sizeof(once));
}

void Admission::look_into(Result<ScreenedRequest> asked) {
  findings_.heard = asked.ok();
  if (asked) findings_.asked = std::move(*asked);
  if (findings_.asked.listener.valid()) findings_.within_reach = is_within_reach(pid_);
  if (findings_.within_reach) findings_.ipc_namespace = open_namespace(pid_, Namespace::kIpc);
  if (findings_.within_reach && findings_.asked.user_namespace.valid()) {
    // Invalid where it is ours, as FuseMount wants it.
    if (!is_ours(findings_.asked.user_namespace)) {
      findings_.user_namespace = std::move(findings_.asked.user_namespace);
    }
    findings_.missing = findings_.files.make_for(findings_.user_namespace);
  }
}

}  // namespace shmvisor
