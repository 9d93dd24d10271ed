// PidVariables: environment variables that name the process they are meant for, by its pid.
//
// A service manager that starts shmvisor writes shmvisor's pid there, and the command would think
// that the sockets or the watchdog are for another process. So a variable that names this process
// names the command in the command's environment: LISTEN_PID and LISTEN_PIDFDID (sd_listen_fds(3):
// the pid, and the inode of its pidfd), WATCHDOG_PID (sd_watchdog_enabled(3)), SYSTEMD_EXEC_PID
// (systemd.exec(5)). A variable that names another process stays as it is.
//
// Ownership: borrows the strings of the environment. Thread rule: made before the fork; renamed()
// is for the forked child, async-signal-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace shmvisor {

class PidVariables {
 public:
  explicit PidVariables(char* const* environment);

  /// The environment, in which the variables that named our parent name the calling process.
  [[nodiscard]] char** renamed() const;

 private:
  enum class Kind : std::uint8_t { kPid, kPidfdInode };
  struct Variable {
    Kind kind = Kind::kPid;
    std::size_t place = 0;         ///< among the pointers
    std::size_t prefix_bytes = 0;  ///< name and '='
    std::array<char, 48> text{};
  };

  /// The child's copies are its own.
  mutable std::vector<char*> pointers_;
  mutable std::vector<Variable> variables_;
};

}  // namespace shmvisor
