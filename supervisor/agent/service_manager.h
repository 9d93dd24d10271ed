// ServiceManager: the protocol of systemd with a service: the sockets that it hands over,
// sd_listen_fds(3), and notifications to it, sd_notify(3).
//
// Both use environment variables, which are removed from the environment here; without them nothing
// is sent. Ownership: owns the sockets until they are taken. Thread rule: the main thread, before
// there are others.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

class ServiceManager {
 public:
  ServiceManager();

  /// The sockets of LISTEN_FDS, in their order; none where LISTEN_PID is not our pid.
  [[nodiscard]] std::vector<UniqueFd> take_sockets() { return std::move(sockets_); }

  /// Where it is told; empty: nowhere.
  [[nodiscard]] const std::string& address() const { return address_; }
  /// As another program of this process was told, whose environment that was.
  void use(std::string address) { address_ = std::move(address); }

  /// Sends for example "READY=1", and waits for nobody. EAGAIN where the manager has not read
  /// enough of what it got before, or where we are out of descriptors or memory; then it may be
  /// tried again. Nothing is sent to a manager that
  /// cannot be reached.
  Result<void> notify(std::string_view state) const;

 private:
  std::vector<UniqueFd> sockets_;
  std::string address_;
};

}  // namespace shmvisor
