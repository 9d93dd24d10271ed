#include "supervisor/notify/pending_call.h"

#include <algorithm>
#include <cassert>

namespace shmvisor {
namespace {

/// No ABI has such a number.
constexpr int kNoCall = -1;

}  // namespace

PendingCall::~PendingCall() {
  if (!answered_) answer(-ENOSYS);
}

RawCall PendingCall::raw() const {
  RawCall raw;
  const auto abi = abi_of_architecture(notif_.data.arch);
  raw.abi = abi.value_or(kNativeAbi);
  raw.number = abi ? notif_.data.nr : kNoCall;
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
  (void)listener_.send_back(notif_.id);
}

bool PendingCall::answer(std::int64_t result) {
  assert(!answered_);
  answered_ = true;
  if (comes_again_ || route_ != nullptr) {
    const bool delivered = !comes_again_ && route_->deliver(result);
    listener_.done_with(notif_.id);
    return delivered;
  }
  return listener_.respond(notif_.id, result).ok();
}

}  // namespace shmvisor
