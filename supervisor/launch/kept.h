// Kept: what a keeper and its servers share, all for as long as the keeper lives.
//
// Errors: a clause for the user. Thread rule: the main thread, while it is the only one.
#pragma once

#include <sys/types.h>

#include <string>

#include "policy/base/result.h"
#include "supervisor/audit/audit_record.h"
#include "supervisor/journal/state_file.h"
#include "supervisor/keeper/keeper_page.h"
#include "supervisor/keeper/kept_upgrade.h"
#include "supervisor/keeper/kept_visitors.h"
#include "supervisor/kernel/features.h"

namespace shmvisor {

struct Kept {
  KeeperPage& page;
  StateFile& state;
  KeptVisitors* visitors;  ///< of a run: null where nobody may join
  KeptUpgrade& upgrade;
  int upgrade_asked;     ///< an eventfd: a server has asked for an upgrade
  int upgrade_answered;  ///< the same the other way
  int news;              ///< an eventfd: the keeper has changed something that it shares
  pid_t keeper;          ///< its pid, by which the run is known

  /// Tells the server.
  void tell() const;
};

/// What a program leaves to the next one (KeptStore): how many wishes of clients that one answers
/// by its beginning, and the path of its file.
inline constexpr const char* kAnsweredWishes = "answered wishes";
inline constexpr const char* kNextProgram = "next program";

/// One of that name, which the program before this one may have made; -1 where there is none.
[[nodiscard]] int event_descriptor(const std::string& name);

/// Makes this process one that keeps descriptors for servers, or takes over
/// what another program of it kept. Once.
[[nodiscard]] Result<Kept, std::string> prepare_keeper(KernelFeatures& features,
                                                       bool may_be_joined);

/// Of a server that is not the first one. Another build may have come with it.
[[nodiscard]] AuditRecord record_of_takeover();
/// Ends a server that takes over: as a death, for it has no status in the page. What it lacks may
/// be there in a while, and those whom it was to serve go on.
[[noreturn]] void leave_to_next(int status);

}  // namespace shmvisor
