#include "supervisor/serve/call_recorder.h"

#include <utility>

#include "policy/base/error_result.h"
#include "supervisor/serve/recent_name.h"

namespace shmvisor {
namespace {

using Clock = std::chrono::steady_clock;

/// What decided() leaves for answered().
struct Decided {
  CallRing* ring = nullptr;  ///< the ring in which the event has a place; null: none
  std::size_t place = 0;
  CallEvent event;
};
thread_local Decided t_decided;

/// The segment that the call concerned; -1 where that cannot be told.
int segment_of(const CallRecord& record) {
  if (record.shmid >= 0 || !record.call) return record.shmid;
  const ShmCall& call = *record.call;
  const bool by_index = call.command == abi::kShmStat || call.command == abi::kShmStatAny ||
                        call.command == abi::kIpcInfo || call.command == abi::kShmInfo;
  switch (call.operation) {
    case ShmOperation::kShmget:
      return is_error_result(record.value) ? -1 : static_cast<int>(record.value);
    case ShmOperation::kShmat:
      return call.shmid;
    case ShmOperation::kShmctl:
      return by_index ? -1 : call.shmid;
    case ShmOperation::kShmdt:
      break;
  }
  return -1;
}

}  // namespace

CallEvent CallRecorder::event_of(const RefusedCall& call) const {
  CallEvent event;
  event.answered_at = std::chrono::system_clock::now();
  if (call.origin.began) event.took = Clock::now() - *call.origin.began;
  event.pid = call.origin.pid;
  event.tid = call.origin.tid;
  event.euid = call.origin.euid;
  event.session = session_;
  event.ipc_namespace = call.origin.ipc_namespace;
  event.decoded = call.call.ok();
  event.number = call.raw.number;
  if (call.call) event.call = *call.call;
  event.value = call.value;
  event.denial = call.denial;
  return event;
}

void CallRecorder::decided(const CallRecord& record) noexcept {
  Decided& decided = t_decided;
  // A place of a call that was not answered must not keep later events from being taken.
  if (decided.ring != nullptr)
    std::exchange(decided.ring, nullptr)->fill(decided.place, decided.event);
  if (!wants_times()) return;
  const auto place = ring_->reserve();
  if (!place) return;
  CallEvent event = event_of({record.origin, record.raw, record.call, record.value, record.denial});
  event.command = recent_name(record.origin.tid);
  event.shmid = segment_of(record);
  event.changed = record.changed;
  event.completed_by_caller = record.completed_by_caller;
  if (record.contents != nullptr) event.contents = *record.contents;
  decided = {ring_, *place, event};
}

void CallRecorder::answered(const CallRecord& record, bool delivered) noexcept {
  Decided& decided = t_decided;
  if (decided.ring == nullptr) return;
  CallEvent& event = decided.event;
  event.answered_at = std::chrono::system_clock::now();
  if (record.origin.began) event.took = Clock::now() - *record.origin.began;
  event.delivered = delivered;
  std::exchange(decided.ring, nullptr)->fill(decided.place, event);
}

void CallRecorder::refused(const RefusedCall& call) noexcept {
  if (!wants_times()) return;
  CallEvent event = event_of(call);
  event.command = recent_name(call.origin.tid);
  ring_->add(event);
}

}  // namespace shmvisor
