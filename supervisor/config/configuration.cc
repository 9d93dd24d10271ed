#include "supervisor/config/configuration.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <tuple>
#include <utility>

#include "policy/limits/limits.h"
#include "supervisor/config/nearest.h"
#include "supervisor/config/number_text.h"
#include "supervisor/config/rule_reader.h"
#include "supervisor/config/table_reader.h"

namespace shmvisor::config {
namespace {

using Kind = TomlValue::Kind;

/// So that each call is judged in a bounded time.
constexpr std::size_t kMostRules = 1024;

std::string number_text(const TomlValue& value) {
  if (value.kind == Kind::kInteger) return std::to_string(value.integer);
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value.number).ptr;
  return {text.data(), end};
}

const char* wanted(KnownOption::Kind kind) {
  switch (kind) {
    case KnownOption::Kind::kFlag:
      return "true or false";
    case KnownOption::Kind::kNumber:
      return "a number, or text as \"64M\"";
    case KnownOption::Kind::kText:
      return "text";
    case KnownOption::Kind::kTextOrFlag:
      return "text, or true";
    case KnownOption::Kind::kList:
      return "text, or a list of it";
  }
  return "";
}

/// As the command line would have it; nothing where it is of another kind.
std::optional<std::vector<std::string>> option_values(const TomlValue& value,
                                                      KnownOption::Kind kind) {
  using Texts = std::vector<std::string>;
  const bool is_number = value.kind == Kind::kInteger || value.kind == Kind::kFloat;
  if (kind == KnownOption::Kind::kList && value.kind == Kind::kArray) {
    Texts texts;
    for (const TomlValue& item : value.items) {
      if (item.kind != Kind::kString) return std::nullopt;
      texts.push_back(item.text);
    }
    if (texts.empty()) return std::nullopt;
    return texts;
  }
  const bool may_be_flag =
      kind == KnownOption::Kind::kFlag || kind == KnownOption::Kind::kTextOrFlag;
  if (value.kind == Kind::kBoolean && may_be_flag) {
    return Texts{value.boolean ? "true" : "false"};
  }
  if (is_number && kind == KnownOption::Kind::kNumber) return Texts{number_text(value)};
  if (value.kind == Kind::kString && kind != KnownOption::Kind::kFlag) return Texts{value.text};
  return std::nullopt;
}

void put(OptionSettings& settings, OptionSetting setting) {
  std::erase_if(settings,
                [&setting](const OptionSetting& one) { return one.name == setting.name; });
  settings.push_back(std::move(setting));
}

void take_options(TableReader& table, const std::vector<KnownOption>& known,
                  OptionSettings& settings) {
  for (const KnownOption& option : known) {
    const TomlMember* const member = table.take(option.name);
    if (member == nullptr) continue;
    auto values = option_values(member->value, option.kind);
    if (!values) {
      table.blame(member->value.place, option.name + " is to be " + wanted(option.kind) +
                                           ", and here is " + member->value.kind_name());
      continue;
    }
    put(settings, OptionSetting{option.name, std::move(*values), member->place});
  }
}

/// Nothing where it is no uid.
std::optional<std::uint32_t> parse_uid(const std::string& text) {
  std::uint32_t uid = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, uid);
  if (error != std::errc() || rest != end || uid == UINT32_MAX) return std::nullopt;
  return uid;
}

/// A user by name or number.
Result<std::uint32_t, BadText> user_of(const std::string& key, const Accounts& accounts) {
  if (is_account_name(key)) {
    auto id = accounts.id_of(AccountKind::kUser, key);
    const std::string meant = id ? "" : nearest_word(key, {"default"});
    if (!meant.empty()) return BadText{no_such("user", key, {}) + did_you_mean(meant)};
    return id;
  }
  const auto uid = parse_uid(key);
  if (!uid) return BadText{"a key of [limits.uid] is to be a uid, the name of a user, or default"};
  return *uid;
}

/// The users whose limits a file has set, and where.
using UsersOfFile = std::map<std::uint32_t, const TomlMember*>;

void take_user(Configuration& configuration, const TomlMember& user, const KnownOptions& known,
               UsersOfFile& users, Problems& problems) {
  TableReader table(user.value, "[limits.uid." + user.key + "]", problems);
  std::optional<std::uint32_t> uid;
  if (user.key != "default") {
    const auto meant = user_of(user.key, known.accounts);
    if (!meant) {
      table.blame(user.place, meant.error().reason);
      return;
    }
    uid = *meant;
    if (const auto [earlier, is_new] = users.emplace(*uid, &user); !is_new) {
      const TomlMember& other = *earlier->second;
      table.blame(user.place, user.key + " and " + other.key + " (" + other.place.text() +
                                  ") are the same user");
      return;
    }
  }
  if (user.value.kind != Kind::kTable) {
    table.blame(user.value.place,
                "limits of a uid are to be a table: [limits.uid." + user.key + "]");
    return;
  }
  OptionSettings settings;
  take_options(table, known.limits, settings);
  table.finish();
  UserLimits& all = configuration.user_limits;
  for (const OptionSetting& one : settings) {
    LimitSettings& limit = uid ? all.of_one[*uid] : all.of_each;
    if (!limit.set(one.name, one.values.front())) {
      const std::string& text = one.values.front();
      table.blame(one.place, one.name == "shmmni" ? no_shmmni(text) : no_size(text));
    }
    configuration.user_settings.insert_or_assign(
        {uid, one.name}, UserSetting{one.values.front(), one.place, user.key});
  }
}

void take_limits(Configuration& configuration, TableReader& root, const KnownOptions& known,
                 Problems& problems) {
  const TomlMember* const member = root.take("limits", Kind::kTable, "a table: [limits]");
  if (member == nullptr) return;
  TableReader table(member->value, "[limits]", problems);
  take_options(table, known.limits, configuration.limits);
  const TomlMember* const users = table.take("uid", Kind::kTable, "a table: [limits.uid.1000]");
  table.finish();
  if (users == nullptr) return;
  UsersOfFile of_file;
  for (const TomlMember& user : users->value.members) {
    take_user(configuration, user, known, of_file, problems);
  }
}

/// Blames members that are keys of another table.
void blame_strays(TableReader& table, const std::vector<KnownOption>& known, const char* of) {
  for (const KnownOption& option : known) {
    const TomlMember* const member = table.find(option.name);
    if (member == nullptr) continue;
    (void)table.take(option.name);
    table.blame(member->place, option.name + " belongs in [" + of + "]");
  }
}

/// `limits`: options that have a table of their own.
void take_table(TableReader& root, const char* name, const std::vector<KnownOption>& known,
                const std::vector<KnownOption>& limits, OptionSettings& settings,
                Problems& problems) {
  const std::string title = std::string("[") + name + "]";
  const TomlMember* const member = root.take(name, Kind::kTable, "a table");
  if (member == nullptr) return;
  TableReader table(member->value, title, problems);
  take_options(table, known, settings);
  blame_strays(table, limits, "limits");
  table.finish();
}

void take_rules(Configuration& configuration, TableReader& root, const Accounts& accounts,
                Problems& problems) {
  const TomlMember* const member = root.take("rule", Kind::kArray, "a list of tables: [[rule]]");
  if (member == nullptr) return;
  for (const TomlValue& table : member->value.items) {
    if (configuration.rules.size() == kMostRules) {
      root.blame(table.place, "there are more than " + std::to_string(kMostRules) + " rules");
      return;
    }
    RuleNames names;
    Rule rule = read_rule(table, accounts, names, problems);
    rule.place = static_cast<std::uint32_t>(configuration.rules.size()) + 1;
    configuration.rules.push_back(std::move(rule));
    configuration.rule_places.push_back(table.place);
    configuration.rule_names.push_back(std::move(names));
  }
}

}  // namespace

OptionSettings Configuration::options_of(const std::string& subcommand) const {
  OptionSettings settings = limits;
  const OptionSettings& own = subcommand == "agent" ? agent : run;
  settings.insert(settings.end(), own.begin(), own.end());
  return settings;
}

void add_document(Configuration& configuration, const TomlValue& document,
                  const KnownOptions& known, Problems& problems) {
  TableReader root(document, "the file", problems);
  for (const auto& [table, options] :
       {std::pair{"limits", &known.limits}, std::pair{"run", &known.run},
        std::pair{"agent", &known.agent}}) {
    blame_strays(root, *options, table);
  }
  take_limits(configuration, root, known, problems);
  take_table(root, "run", known.run, known.limits, configuration.run, problems);
  take_table(root, "agent", known.agent, known.limits, configuration.agent, problems);
  take_rules(configuration, root, known.accounts, problems);
  root.finish();
}

Configuration read_as_far_as_it_goes(const std::vector<FileText>& files, const KnownOptions& known,
                                     Problems& problems) {
  Configuration configuration;
  for (const FileText& file : files) {
    const auto document = file.text ? parse_toml(*file.text, file.path)
                                    : Result<TomlValue, Problem>(file.text.error());
    if (document) {
      const std::size_t earlier = configuration.rules.size();
      add_document(configuration, *document, known, problems);
      // A line that a refusal is told with is one of the file itself; the rule's number says all.
      const bool is_drop_in = &file != &files.front();
      for (std::size_t rule = earlier; is_drop_in && rule < configuration.rules.size(); ++rule) {
        configuration.rules[rule].line = 0;
      }
    } else {
      problems.push_back(document.error());
    }
  }
  return configuration;
}

Problems in_order(Problems problems) {
  std::map<std::string, std::size_t> files;
  for (const Problem& problem : problems) files.emplace(problem.place.file, files.size());
  std::ranges::stable_sort(problems, {}, [&files](const Problem& problem) {
    const Place& place = problem.place;
    return std::tuple(files.at(place.file), place.line, place.column);
  });
  if (problems.size() > kMostProblems) {
    problems.resize(kMostProblems);
    problems.push_back({{problems.back().place.file},
                        "there are more errors; they are told when these are mended"});
  }
  return problems;
}

Result<Configuration, Problems> read_configuration(const std::string& path,
                                                   const KnownOptions& known) {
  Problems problems;
  Configuration configuration = read_as_far_as_it_goes(read_files(path), known, problems);
  if (problems.empty()) return configuration;
  return in_order(std::move(problems));
}

}  // namespace shmvisor::config
