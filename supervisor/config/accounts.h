// Accounts: the users and groups of this machine by name.
//
// /etc/passwd and /etc/group alone are asked: a static program must not load the modules of the
// name service. Who is in a directory (LDAP, systemd-homed) is to be given by number.
//
// Errors: one clause. Ownership: owns what it has read; each file is read once, when the first name
// is asked for. Thread rule: one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "policy/base/result.h"
#include "supervisor/config/number_text.h"

namespace shmvisor::config {

enum class AccountKind : std::uint8_t { kUser, kGroup };

/// `visit` gets each name of passwd(5) or group(5) and its number. False where it cannot be read.
bool for_each_account(const std::string& path,
                      const std::function<void(const std::string&, std::uint32_t)>& visit);

/// Whether a text is to be a name where numbers and ranges as "1000-1999" may be given, too: it has
/// anything but digits and '-'.
[[nodiscard]] bool is_account_name(const std::string& text);

class Accounts {
 public:
  explicit Accounts(std::string passwd_path = "/etc/passwd", std::string group_path = "/etc/group")
      : paths_{std::move(passwd_path), std::move(group_path)} {}

  /// Of the user or group with this name.
  [[nodiscard]] Result<std::uint32_t, BadText> id_of(AccountKind kind,
                                                     const std::string& name) const;
  /// A name or a number, as chown(1) has it: a name is preferred, "+33" is always a number.
  [[nodiscard]] Result<std::uint32_t, BadText> parse(AccountKind kind,
                                                     const std::string& text) const;

 private:
  struct Names {
    std::map<std::string, std::uint32_t> ids;
    std::string trouble;               ///< why there are none
    std::vector<std::string> printed;  ///< the names, once one that is like another was looked for
  };
  const Names& names(AccountKind kind) const;
  [[nodiscard]] std::string nearest(AccountKind kind, const std::string& name) const;

  std::array<std::string, 2> paths_;
  mutable std::array<std::optional<Names>, 2> read_;
  /// That may still be compared with unknown ones: a file may have any number of these.
  mutable std::size_t comparisons_left_ = 200'000;
};

}  // namespace shmvisor::config
