// What each program that goes on with another one's state looks at first.
//
// Thread rule: the main thread.
#pragma once

#include <optional>
#include <string>

#include "supervisor/audit/audit_place.h"
#include "supervisor/kernel/features.h"
#include "supervisor/kernel/socket_file.h"
#include "supervisor/launch/kept.h"

namespace shmvisor {

/// Why this program cannot go on with what is kept; empty where it can. To be asked when all that
/// it needs was asked for by name.
[[nodiscard]] std::string why_not_go_on(const Kept& kept, KernelFeatures& features);
/// Opens the audit. Where a program is only asked whether it can go on, it says so where the place
/// cannot be had.
std::optional<std::string> open_resumed_audit(const AuditOptions& options,
                                              const AuditSource& source);
/// Where that is only asked: says that it can, and ends.
void end_where_only_asked();

/// A listening socket by its name; there is none where its descriptor is -1.
struct KeptSocket {
  int fd = -1;
  SocketFile::Place file;
};
void note_socket(const std::string& name, int fd, const SocketFile& file);
[[nodiscard]] KeptSocket kept_socket(const std::string& name);

}  // namespace shmvisor
