// tell_of_join: a line in the log and an audit record of a command that has joined, or may not.
//
// Thread rule: any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "policy/limits/container_metadata.h"
#include "supervisor/audit/process_audit.h"
#include "supervisor/join/peer_process.h"
#include "supervisor/log/limited_log.h"
#include "supervisor/procfs/process_name.h"

namespace shmvisor {

/// `label`: of what it joins, "group:NAME", or empty of a run. `refusal`: empty where it has
/// joined.
inline void tell_of_join(const PeerProcess& peer, const std::string& label,
                         std::string_view refusal = {}) noexcept {
  if (refusal.empty()) {
    log_limited(spdlog::level::debug, LogTopic::kJoins, peer.payer(), "process {} has joined",
                peer.pid());
  } else {
    log_limited(spdlog::level::warn, LogTopic::kJoins, peer.payer(), "process {} may not join: {}",
                peer.pid(), refusal);
  }
  audit(peer.payer(), [&] {
    AuditRecord record("join");
    if (label.starts_with(kGroupPrefix)) record.add("group", label.substr(kGroupPrefix.size()));
    record.add("result", refusal.empty() ? "ok" : "refused");
    if (!refusal.empty()) record.add("because", std::string(refusal));
    record.add("by_pid", peer.pid()).add("by_uid", peer.user());
    return std::move(record.add("by_command", process_name(peer.pid())));
  });
}

}  // namespace shmvisor
