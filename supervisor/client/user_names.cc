#include "supervisor/client/user_names.h"

#include "supervisor/client/run_connection.h"
#include "supervisor/config/accounts.h"

namespace shmvisor::client {

UserNames::UserNames(const std::string& passwd_path) {
  config::for_each_account(passwd_path, [this](const std::string& name, std::uint32_t uid) {
    names_.emplace(uid, printable(name));
  });
}

std::string UserNames::of(uid_t uid) const {
  const auto known = names_.find(uid);
  return known == names_.end() ? std::to_string(uid) : known->second;
}

}  // namespace shmvisor::client
