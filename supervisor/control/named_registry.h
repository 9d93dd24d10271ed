// NamedSession and NamedRegistry: what an operator calls the registries of this process.
//
// The registry that a run started with is "main"; that of an agent's container has the container's
// id, that of a group "group:NAME". An IPC namespace that a served process made has the name that
// the kernel gives it, "ipc:[4026532567]", behind the name of the container or group.
//
// Ownership: shares sessions and registries, which end no sooner. Thread rule: any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/control/protocol.h"
#include "supervisor/control/registry_place.h"
#include "supervisor/session/session.h"

namespace shmvisor {

struct NamedSession {
  std::string name;
  std::shared_ptr<Session> session;
};

/// The sessions of this process. Called in the main loop.
using KnownSessions = std::function<std::vector<NamedSession>()>;

struct NamedRegistry {
  std::string name;
  std::uint64_t ipc_namespace = 0;  ///< 0: the one that the session started with
  std::shared_ptr<Registry> registry;
  /// Whether it is that of a command in an IPC namespace of its own, with its own semaphores and
  /// message queues.
  bool private_ipc = false;
  /// Null: users have no limits of their own.
  std::shared_ptr<const UserLimits> user_limits = {};
  std::uint32_t session = 0;  ///< Session::number()
};

[[nodiscard]] std::vector<NamedRegistry> registries_of(const std::vector<NamedSession>& sessions);
/// Segments may have come otherwise than by a call: the tally's peaks have them from now on.
void note_peaks(const std::vector<NamedSession>& sessions);

/// Null where there is none of that name.
[[nodiscard]] std::shared_ptr<Registry> find_registry(const std::vector<NamedSession>& sessions,
                                                      const std::string& name);
/// The same, and the session that it is of, from which it borrows.
[[nodiscard]] std::pair<std::shared_ptr<Session>, std::shared_ptr<Registry>> find_with_session(
    const std::vector<NamedSession>& sessions, const std::string& name);
[[nodiscard]] control::Refusal no_such_registry(const std::string& name);
[[nodiscard]] control::Refusal no_such_segment(int shmid);

/// What the registry of an IPC namespace is called beside the one named `main`.
[[nodiscard]] std::string registry_name(const std::string& main, std::uint64_t ipc_namespace);

}  // namespace shmvisor
