// Exit statuses of `shmvisor run`: those of env(1), timeout(1) and the shells.
#pragma once

namespace shmvisor::exit_status {

inline constexpr int kOwnFailure = 125;
inline constexpr int kNotExecutable = 126;
inline constexpr int kNotFound = 127;
/// Plus the number of the signal that ended the command.
inline constexpr int kSignalBase = 128;

}  // namespace shmvisor::exit_status
