#include "supervisor/control/audited_request.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "supervisor/control/protocol.h"
#include "supervisor/procfs/process_name.h"

namespace shmvisor {
namespace {

using Act = std::optional<AuditRecord>;

AuditRecord act(const char* name) { return std::move(AuditRecord("act").add("act", name)); }

AuditRecord with_segment(AuditRecord record, const AllocateSegment& wanted) {
  record.add("registry", wanted.registry).add_key("key", wanted.key);
  record.add("size", wanted.size_bytes).add_mode("mode", wanted.mode);
  if (wanted.uid) record.add("uid", *wanted.uid);
  if (wanted.gid) record.add("gid", *wanted.gid);
  return record;
}

bool has(const AuditRecord& record, const char* name) {
  return std::ranges::any_of(record.fields(), [name](const AuditField& field) {
    return std::strcmp(field.name, name) == 0;
  });
}

struct ActOf {
  const ClientLoad& load;

  /// Whatever is not named below only looks.
  template <typename Request>
  Act operator()(const Request& /*request*/) const {
    return std::nullopt;
  }
  Act operator()(const RemoveOneSegment& request) const {
    return std::move(act("remove").add("registry", request.registry).add("shmid", request.shmid));
  }
  Act operator()(const SetLimits& request) const {
    AuditRecord record = act("set");
    record.add("registry", request.registry);
    if (request.limits.shmmax) record.add("shmmax", *request.limits.shmmax);
    if (request.limits.shmall) record.add("shmall", *request.limits.shmall);
    if (request.limits.shmmni) record.add("shmmni", *request.limits.shmmni);
    return record;
  }
  Act operator()(const Reload& /*request*/) const { return act("reload"); }
  Act operator()(const Upgrade& request) const {
    return std::move(act("upgrade").add("program", request.program));
  }
  /// It reads what only those who may attach the segment may read.
  Act operator()(const OpenSegment& request) const {
    return std::move(act("dump").add("registry", request.registry).add("shmid", request.shmid));
  }
  Act operator()(const TakeSnapshot& request) const {
    return std::move(act("save").add("registry", request.registry));
  }
  Act operator()(const AllocateSegment& request) const {
    return with_segment(act("allocate"), request);
  }
  Act operator()(const InsertAllocated& /*request*/) const {
    return load.load == nullptr ? act("load") : with_segment(act("load"), load.wanted);
  }
  Act operator()(const DetachSegment& request) const {
    AuditRecord record = act("detach");
    record.add("registry", request.registry).add("shmid", request.shmid);
    if (request.pid) record.add("pid", *request.pid);
    return record;
  }
};

}  // namespace

Act act_of(const ControlRequest& request, const ucred& client, const ClientLoad& load) {
  Act made = std::visit(ActOf{load}, request);
  if (made) add_client(*made, client);
  return made;
}

void add_client(AuditRecord& record, const ucred& client) {
  record.add("by_pid", client.pid).add("by_uid", client.uid);
  record.add("by_command", process_name(client.pid));
}

void add_outcome(AuditRecord& act, const std::string& answer) {
  const auto line = control::Json::parse(answer, nullptr, /*allow_exceptions=*/false);
  if (line.is_object() && line.contains("error")) {
    act.add("result", line["error"].value("code", "refused"));
    return;
  }
  if (line.is_object()) {
    if (line.contains("shmid") && !has(act, "shmid")) act.add("shmid", line["shmid"].get<int>());
    // Of a detach.
    if (line.contains("processes")) act.add("processes", line["processes"].size());
    if (line.contains("failed")) act.add("failed", line["failed"].size());
  }
  act.add("result", "ok");
}

}  // namespace shmvisor
