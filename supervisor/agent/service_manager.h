// ServiceManager: what systemd, or whoever speaks its protocol, hands to a service and wants to
// hear of it: sd_listen_fds(3) and sd_notify(3).
//
// Both are a few environment variables, which are taken out of the environment here; without them
// nobody listens. Ownership: owns what was handed over until it is taken. Thread rule: the main
// thread, before there are others.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/unique_fd.h"

namespace shmvisor {

class ServiceManager {
 public:
  ServiceManager();

  /// The sockets of LISTEN_FDS, in their order; none where LISTEN_PID is not us.
  [[nodiscard]] std::vector<UniqueFd> take_sockets() { return std::move(sockets_); }

  /// Says for example "READY=1". What does not arrive is no concern of ours.
  void notify(std::string_view state) const;

 private:
  std::vector<UniqueFd> sockets_;
  std::string address_;
};

}  // namespace shmvisor
