#include "supervisor/control/audited_request.h"

#include <utility>

#include "supervisor/control/protocol.h"

namespace shmvisor {
namespace {

using Act = std::optional<AuditRecord>;

AuditRecord act(const char* name) { return std::move(AuditRecord("act").add("act", name)); }

struct ActOf {
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
  /// It reads what only those who may attach the segment may read.
  Act operator()(const OpenSegment& request) const {
    return std::move(act("dump").add("registry", request.registry).add("shmid", request.shmid));
  }
  Act operator()(const TakeSnapshot& request) const {
    return std::move(act("save").add("registry", request.registry));
  }
  Act operator()(const AllocateSegment& request) const {
    AuditRecord record = act("allocate");
    record.add("registry", request.registry).add_key("key", request.key);
    record.add("size", request.size_bytes).add_mode("mode", request.mode);
    if (request.uid) record.add("uid", *request.uid);
    if (request.gid) record.add("gid", *request.gid);
    return record;
  }
  /// Of what it allocated before.
  Act operator()(const InsertAllocated& /*request*/) const { return act("load"); }
  Act operator()(const DetachSegment& request) const {
    AuditRecord record = act("detach");
    record.add("registry", request.registry).add("shmid", request.shmid);
    if (request.pid) record.add("pid", *request.pid);
    return record;
  }
};

}  // namespace

Act act_of(const ControlRequest& request, const ucred& client) {
  Act made = std::visit(ActOf(), request);
  if (made) made->add("by_pid", client.pid).add("by_uid", client.uid);
  return made;
}

std::string result_of(const std::string& answer) {
  const auto line = control::Json::parse(answer, nullptr, /*allow_exceptions=*/false);
  if (!line.is_object() || !line.contains("error")) return "ok";
  return line["error"].value("code", "refused");
}

}  // namespace shmvisor
