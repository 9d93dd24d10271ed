#include "supervisor/client/user_names.h"

#include <charconv>
#include <fstream>
#include <string_view>
#include <vector>

#include "supervisor/client/run_connection.h"
#include "supervisor/config/nearest.h"

namespace shmvisor::client {

namespace {

/// `visit` gets each name and its number.
template <typename Visit>
void for_each_name(const std::string& path, Visit visit) {
  std::ifstream file(path);
  // name:password:number:..., passwd(5) and group(5).
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos || first == 0) continue;
    const std::string_view number(line.data() + second + 1, line.size() - second - 1);
    uid_t uid = 0;
    const auto [rest, error] = std::from_chars(number.data(), number.data() + number.size(), uid);
    if (error != std::errc() || rest == number.data() + number.size() || *rest != ':') continue;
    visit(line.substr(0, first), uid);
  }
}

}  // namespace

UserNames::UserNames(const std::string& passwd_path) {
  for_each_name(passwd_path, [this](const std::string& name, uid_t uid) {
    names_.emplace(uid, printable(name));
  });
}

std::string find_id(const std::string& text, const char* what, const std::string& path,
                    std::optional<std::uint32_t>& id) {
  id.reset();
  std::vector<std::string> names;
  for_each_name(path, [&](const std::string& name, std::uint32_t number) {
    if (name == text && !id) id = number;
    names.push_back(printable(name));
  });
  if (id) return {};
  // A number that is to be one though a user has that name: chown(1).
  const std::size_t sign = text.starts_with('+') ? 1 : 0;
  std::uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + sign, end, number);
  const bool is_nobodys = number == UINT32_MAX;  // -1
  if (error == std::errc() && rest == end && !is_nobodys) {
    id = number;
    return {};
  }
  return "'" + text + "' is no " + what + ", and no number from 0 to 4294967294" +
         did_you_mean(nearest_word(text, names));
}

std::string UserNames::of(uid_t uid) const {
  const auto known = names_.find(uid);
  return known == names_.end() ? std::to_string(uid) : known->second;
}

}  // namespace shmvisor::client
