// Parts of what ipcs(1) prints, of objects as PROTOCOL.md has them.
//
// Thread rule: any thread.
#pragma once

#include <cstdint>
#include <string>

#include "supervisor/client/user_names.h"
#include "supervisor/control/protocol.h"

namespace shmvisor::client {

/// The limits of a registry.
std::string ipcs_limits(const control::Json& registry);
/// The heads of the columns of segments, and the rows.
std::string ipcs_column_names();
std::string ipcs_row(const control::Json& segment, const UserNames& users);
/// A time, or "Not set".
std::string ipcs_time(std::int64_t seconds);

}  // namespace shmvisor::client
