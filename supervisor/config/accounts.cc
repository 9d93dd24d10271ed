#include "supervisor/config/accounts.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <string_view>
#include <vector>

#include "supervisor/config/config_problem.h"
#include "supervisor/config/nearest.h"
#include "supervisor/config/table_reader.h"

namespace shmvisor::config {
namespace {

const char* word_for(AccountKind kind) { return kind == AccountKind::kUser ? "user" : "group"; }

}  // namespace

bool for_each_account(const std::string& path,
                      const std::function<void(const std::string&, std::uint32_t)>& visit) {
  std::ifstream file(path);
  if (!file) return false;
  // name:password:number:..., passwd(5) and group(5).
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos || first == 0) continue;
    const std::string_view number(line.data() + second + 1, line.size() - second - 1);
    std::uint32_t id = 0;
    const auto [rest, error] = std::from_chars(number.data(), number.data() + number.size(), id);
    if (error != std::errc() || rest == number.data() + number.size() || *rest != ':') continue;
    visit(line.substr(0, first), id);
  }
  return true;
}

bool is_account_name(const std::string& text) {
  return text.find_first_not_of("0123456789-") != std::string::npos;
}

const Accounts::Names& Accounts::names(AccountKind kind) const {
  std::optional<Names>& names = read_.at(static_cast<std::size_t>(kind));
  if (names) return *names;
  names.emplace();
  const std::string& path = paths_.at(static_cast<std::size_t>(kind));
  // The first line with a name counts: getpwnam(3).
  const bool good = for_each_account(
      path, [&names](const std::string& name, std::uint32_t id) { names->ids.emplace(name, id); });
  names->trouble = good ? " in " + path : ", since " + path + " cannot be read: ";
  if (!good) names->trouble += std::strerror(errno);
  return *names;
}

std::string Accounts::nearest(AccountKind kind, const std::string& name) const {
  (void)names(kind);
  Names& known = *read_.at(static_cast<std::size_t>(kind));
  if (known.ids.size() > comparisons_left_) return {};
  comparisons_left_ -= known.ids.size();
  if (known.printed.empty()) {
    for (const auto& [one, id] : known.ids) known.printed.push_back(on_one_line(one));
  }
  return did_you_mean(nearest_word(name, known.printed));
}

Result<std::uint32_t, BadText> Accounts::id_of(AccountKind kind, const std::string& name) const {
  const auto& known = names(kind);
  const auto found = known.ids.find(name);
  if (found != known.ids.end()) return found->second;
  const std::string word = word_for(kind);
  // Most likely it was to be a number.
  constexpr std::string_view kBeginnings = "0123456789+-";
  if (!name.empty() && kBeginnings.find(name.front()) != std::string_view::npos) {
    return BadText{"'" + name + "' is no number, no range as \"1000-1999\", and no " + word +
                   known.trouble};
  }
  return BadText{no_such(word, name, {}) + known.trouble + nearest(kind, name)};
}

Result<std::uint32_t, BadText> Accounts::parse(AccountKind kind, const std::string& text) const {
  const auto& known = names(kind);
  if (const auto found = known.ids.find(text); found != known.ids.end()) return found->second;
  const std::size_t sign = text.starts_with('+') ? 1 : 0;
  std::uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + sign, end, number);
  const bool is_nobodys = number == UINT32_MAX;  // -1
  if (error == std::errc() && rest == end && !is_nobodys) return number;
  return BadText{"'" + text + "' is no " + word_for(kind) + ", and no number from 0 to 4294967294" +
                 nearest(kind, text)};
}

}  // namespace shmvisor::config
