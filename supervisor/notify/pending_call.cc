#include "supervisor/notify/pending_call.h"

#include <linux/audit.h>

#include <algorithm>
#include <cassert>

namespace shmvisor {

PendingCall::~PendingCall() {
  if (!answered_) answer(-ENOSYS);
}

RawCall PendingCall::raw() const {
  RawCall raw;
  raw.abi = notif_.data.arch == AUDIT_ARCH_I386 ? Abi::kI386 : Abi::kX86_64;
  raw.number = notif_.data.nr;
  std::copy(std::begin(notif_.data.args), std::end(notif_.data.args), raw.arguments.begin());
  return raw;
}

void PendingCall::let_through() {
  assert(!answered_);
  answered_ = true;
  (void)listener_.let_through(notif_.id);  // where the caller is gone there is nothing to do
}

void PendingCall::let_come_again() {
  assert(!answered_);
  comes_again_ = true;
  (void)listener_.respond(notif_.id, kCallAgain);
}

bool PendingCall::answer(std::int64_t result) {
  assert(!answered_);
  answered_ = true;
  if (comes_again_) return false;
  if (route_ != nullptr) return route_->deliver(result);
  return listener_.respond(notif_.id, result).ok();
}

}  // namespace shmvisor
