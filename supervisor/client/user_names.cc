#include "supervisor/client/user_names.h"

#include <charconv>
#include <fstream>
#include <string_view>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {

UserNames::UserNames(const std::string& passwd_path) {
  std::ifstream file(passwd_path);
  // name:password:uid:..., passwd(5).
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos || first == 0) continue;
    const std::string_view number(line.data() + second + 1, line.size() - second - 1);
    uid_t uid = 0;
    const auto [rest, error] = std::from_chars(number.data(), number.data() + number.size(), uid);
    if (error != std::errc() || rest == number.data() + number.size() || *rest != ':') continue;
    names_.emplace(uid, printable(line.substr(0, first)));
  }
}

std::string UserNames::of(uid_t uid) const {
  const auto known = names_.find(uid);
  return known == names_.end() ? std::to_string(uid) : known->second;
}

}  // namespace shmvisor::client
