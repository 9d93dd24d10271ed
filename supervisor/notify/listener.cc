#include "supervisor/notify/listener.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "policy/base/error_result.h"
#include "policy/base/held_locks.h"
#include "supervisor/kernel/descriptor_path.h"
#include "supervisor/kernel/poll_files.h"
#include "supervisor/kernel/uapi.h"

namespace shmvisor {
namespace {

/// Room for what a kernel newer than our headers may add to a notification or an answer.
template <typename Known>
struct Roomy {
  union {
    Known known;
    std::array<std::byte, 256> room;
  };
};

/// Each of these calls takes a lock. A signal that comes meanwhile (a KickTimer has gone off late)
/// says nothing about the call.
int ioctl_uninterrupted(int fd, unsigned long request, void* argument) {
  int result = 0;
  do {
    result = ::ioctl(fd, request, argument);
  } while (result < 0 && errno == EINTR);
  return result;
}

/// Waits until the caller, which may be frozen, has taken the descriptor.
Result<int> add(int listener, seccomp_notif_addfd& addfd) {
  HeldLocks::assert_may_wait();
  // EINTR here means that the caller has not taken the descriptor, and will not.
  const int installed = ioctl_uninterrupted(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd);
  if (installed < 0) return Errno::current();
  return installed;
}

Result<int> add_as(int listener, std::uint64_t id, int fd, int number, std::uint32_t flags) {
  seccomp_notif_addfd addfd{};
  addfd.id = id;
  addfd.flags = flags;
  addfd.srcfd = static_cast<std::uint32_t>(fd);
  addfd.newfd = static_cast<std::uint32_t>(number);
  addfd.newfd_flags = O_CLOEXEC;
  return add(listener, addfd);
}

template <typename Known>
std::size_t within_room(std::uint16_t kernel_size) {
  return std::clamp<std::size_t>(kernel_size, sizeof(Known), sizeof(Roomy<Known>));
}

}  // namespace

Listener::Listener(UniqueFd fd, WaitKind wait_kind) : Listener(std::move(fd), -1, wait_kind) {}

Listener::Listener(Borrowed borrowed, WaitKind wait_kind)
    : Listener(UniqueFd(), borrowed.fd, wait_kind) {}

Listener::Listener(UniqueFd own, int fd, WaitKind wait_kind)
    : own_(std::move(own)),
      fd_(own_.valid() ? own_.get() : fd),
      wait_kind_(wait_kind),
      notif_size_bytes_(sizeof(seccomp_notif)),
      response_size_bytes_(sizeof(seccomp_notif_resp)) {
  seccomp_notif_sizes sizes{};
  if (::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) == 0) {
    notif_size_bytes_ = within_room<seccomp_notif>(sizes.seccomp_notif);
    response_size_bytes_ = within_room<seccomp_notif_resp>(sizes.seccomp_notif_resp);
  }
}

Listener::~Listener() {
  if (slots_ != nullptr) slots_->forget(fd_);
}

void Listener::use(const KernelFeatures& features) {
  features_ = features;
  if (!features_.usable(KernelFeature::kSyncWakeUp)) return;
  if (::ioctl(fd_, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) != 0) {
    features_.mark_absent(KernelFeature::kSyncWakeUp);
  }
}

Result<seccomp_notif> Listener::receive() {
  HeldLocks::assert_may_wait();
  if (slots_ != nullptr) return receive_noted();
  Roomy<seccomp_notif> notif;
  std::memset(&notif, 0, notif_size_bytes_);  // the kernel refuses a buffer that is not zero
  if (::ioctl(fd_, SECCOMP_IOCTL_NOTIF_RECV, &notif) != 0) return Errno::current();
  return notif.known;
}

Result<seccomp_notif> Listener::receive_noted() {
  constexpr std::chrono::milliseconds kWaitForSlot(20);
  journal::CallSlot* const slot = slots_->take(fd_, kWaitForSlot);
  if (slot == nullptr) return Errno(EINTR);
  if (::ioctl(fd_, SECCOMP_IOCTL_NOTIF_RECV, &slot->notification) != 0) {
    const Errno error = Errno::current();
    slots_->give_back(*slot);
    return error;
  }
  slots_->received(*slot);
  slots_->begin_unless_paused(*slot);
  return slot->notification;
}

bool Listener::alive(std::uint64_t id) const {
  return ioctl_uninterrupted(fd_, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

Result<void> Listener::respond(std::uint64_t id, std::int64_t result) {
  // The order to make the call again is no result: only a caller that is stopped now may get it.
  if (slots_ != nullptr && result != kCallAgain) slots_->deliver(id, result);
  const auto sent = send(id, result);
  done_with(id);
  return sent;
}

Result<void> Listener::send_back(std::uint64_t id) { return send(id, kCallAgain); }

bool Listener::waits_still(std::uint64_t id) {
  if (alive(id)) return true;
  done_with(id);
  return false;
}

Result<void> Listener::send(std::uint64_t id, std::int64_t result) {
  seccomp_notif_resp answer{};
  answer.id = id;
  if (is_error_result(result)) {
    answer.error = static_cast<std::int32_t>(result);
  } else {
    answer.val = result;
  }
  return send(answer);
}

Result<void> Listener::send(const seccomp_notif_resp& answer) {
  Roomy<seccomp_notif_resp> response;
  std::memset(&response, 0, response_size_bytes_);
  response.known = answer;
  if (ioctl_uninterrupted(fd_, SECCOMP_IOCTL_NOTIF_SEND, &response) != 0) {
    return Errno::current();
  }
  return {};
}

Result<void> Listener::let_through(std::uint64_t id) {
  seccomp_notif_resp answer{};
  answer.id = id;
  answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  const auto sent = send(answer);
  done_with(id);
  return sent;
}

Result<int> Listener::add_fd(std::uint64_t id, int fd) {
  seccomp_notif_addfd addfd{};
  addfd.id = id;
  addfd.srcfd = static_cast<std::uint32_t>(fd);
  addfd.newfd_flags = O_CLOEXEC;
  return add(fd_, addfd);
}

Result<int> Listener::add_fd_as(std::uint64_t id, int fd, int number) {
  return add_as(fd_, id, fd, number, SECCOMP_ADDFD_FLAG_SETFD);
}

Result<int> Listener::respond_with_fd_as(std::uint64_t id, int fd, int number) {
  if (!features_.usable(KernelFeature::kAddfdSend)) return Errno(EINVAL);
  auto sent = add_as(fd_, id, fd, number, SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND);
  if (sent) done_with(id);
  // Nothing else of it can be invalid.
  if (!sent && sent.error() == Errno(EINVAL)) features_.mark_absent(KernelFeature::kAddfdSend);
  return sent;
}

bool Listener::call_waits() const { return (events_now(fd_, POLLIN).value_or(0) & POLLIN) != 0; }

bool Listener::ended() const { return (events_now(fd_, 0).value_or(0) & POLLHUP) != 0; }

bool is_seccomp_listener(const UniqueFd& fd) {
  const std::string path = descriptor_path(fd);
  std::array<char, 64> target{};
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  return length > 0 && std::string_view(target.data(), static_cast<std::size_t>(length)) ==
                           "anon_inode:seccomp notify";
}

}  // namespace shmvisor
