#include "supervisor/serve/call_audit.h"

#include <cstring>

#include "supervisor/audit/process_audit.h"
#include "supervisor/procfs/process_name.h"
#include "supervisor/serve/call_log.h"

namespace shmvisor {
namespace {

void add_arguments(AuditRecord& record, const ShmCall& call) {
  switch (call.operation) {
    case ShmOperation::kShmget:
      record.add_key("key", static_cast<std::uint32_t>(call.key)).add("size", call.size_bytes);
      break;
    case ShmOperation::kShmat:
      record.add("shmid", call.shmid);
      break;
    case ShmOperation::kShmdt:
      break;
    case ShmOperation::kShmctl:
      record.add("shmid", call.shmid).add("cmd", call.command);
      break;
  }
}

}  // namespace

void CallAudit::add(const RefusedCall& call) const noexcept {
  if (process_audit() == nullptr || !call.denial.known() || !call.call) return;
  audit(call.origin.account, [&] {
    AuditRecord record("refusal");
    record.add("call", name_of(call.call->operation));
    add_arguments(record, *call.call);
    const char* const error = ::strerrorname_np(static_cast<int>(-call.value));
    record.add("errno", error == nullptr ? "unknown" : error)
        .add("denied_by", name_of(call.denial.reason))
        .add("because", describe(call.denial))
        .add("pid", call.origin.pid)
        .add("tid", call.origin.tid)
        .add("uid", call.origin.euid)
        .add("command", process_name(call.origin.tid));
    if (!containers_.empty()) record.add("container", containers_.front());
    return record;
  });
}

void CallAudit::decided(const CallRecord& record) noexcept {
  if (process_audit() == nullptr || !record.denial.known()) return;
  add({record.origin, record.raw, record.call, record.value, record.denial});
}

void CallAudit::refused(const RefusedCall& call) noexcept { add(call); }

}  // namespace shmvisor
