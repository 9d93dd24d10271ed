// The names of users, for people who read a table (config/accounts.h: what is asked for them).
//
// Thread rule: one thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <unordered_map>

namespace shmvisor::client {

class UserNames {
 public:
  explicit UserNames(const std::string& passwd_path = "/etc/passwd");

  /// The uid in digits where it has no name.
  [[nodiscard]] std::string of(uid_t uid) const;

 private:
  std::unordered_map<uid_t, std::string> names_;
};

}  // namespace shmvisor::client
