// The names of users, for people who read a table or give an option.
//
// /etc/passwd alone is asked: a static program must not load the modules of the name service.
// Thread rule: one thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
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

/// The id that `text` means, as chown(1) has it: a name in `path` (/etc/passwd, /etc/group), or a
/// number. `what`: "user". What is wrong with it; empty where nothing is.
[[nodiscard]] std::string find_id(const std::string& text, const char* what,
                                  const std::string& path, std::optional<std::uint32_t>& id);

}  // namespace shmvisor::client
