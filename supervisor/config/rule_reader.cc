#include "supervisor/config/rule_reader.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "policy/rules/rule_reach.h"
#include "supervisor/config/number_text.h"
#include "supervisor/config/table_reader.h"

namespace shmvisor::config {
namespace {

using Kind = TomlValue::Kind;

constexpr std::array kActions = {
    std::pair{"allow", RuleAction::kAllow}, std::pair{"deny", RuleAction::kDeny},
    std::pair{"log", RuleAction::kLog}, std::pair{"fault", RuleAction::kFault}};
constexpr std::size_t kLongestPattern = 4096;  // PATH_MAX

class RuleReader {
 public:
  RuleReader(const TomlValue& table, const Accounts& accounts, RuleNames& names, Problems& problems)
      : table_(table), accounts_(accounts), names_(names), reader_(table, "[[rule]]", problems) {}

  Rule read() {
    if (table_.kind != Kind::kTable) {
      reader_.blame(table_.place, "a rule is to be a table: [[rule]]");
      return {};
    }
    rule_.line = table_.place.line;
    take_calls();
    take_ids("uid", AccountKind::kUser, rule_.uids, names_.users);
    take_ids("gid", AccountKind::kGroup, rule_.gids, names_.groups);
    take_ranges("key", NumberKind::kKey, rule_.keys);
    take_ranges("size", NumberKind::kSize, rule_.sizes);
    take_patterns("command", rule_.commands);
    take_patterns("container", rule_.containers);
    take_action();
    take_errno();
    take_choice();
    take_delay();
    reader_.finish();
    blame_contradiction();
    if (rule_.action == RuleAction::kFault && !reader_.has("errno") && !reader_.has("delay")) {
      reader_.blame(table_.place, "a fault is to have an errno, a delay, or both");
    }
    return std::move(rule_);
  }

 private:
  static std::vector<std::string> call_names() {
    std::vector<std::string> names{"shmctl"};
    for (const RuledCallName& one : kRuledCallNames) names.emplace_back(one.name);
    return names;
  }

  void take_calls() {
    for (const TomlValue* const value : reader_.take_list("call")) {
      if (value->kind != Kind::kString) {
        reader_.blame(value->place, "call is to be text, as \"shmget\", or a list of it");
        continue;
      }
      const auto known =
          std::find_if(kRuledCallNames.begin(), kRuledCallNames.end(),
                       [&](const RuledCallName& one) { return one.name == value->text; });
      if (value->text == "shmctl") {
        rule_.calls.add_shmctl();
      } else if (known != kRuledCallNames.end()) {
        rule_.calls.add(known->call);
      } else {
        reader_.blame(value->place, no_such("call", value->text, call_names()));
      }
    }
  }

  /// Of conditions that no call can fulfil together.
  void blame_contradiction() {
    if (!name_no_segment(rule_.calls)) return;
    for (const char* const key : {"key", "size"}) {
      const TomlMember* const member = reader_.find(key);
      if (member == nullptr) continue;
      reader_.blame(
          member->place,
          "the rule can never match: IPC_INFO and SHM_INFO name no segment, so they have no " +
              std::string(key));
    }
  }

  void take_ranges(const char* key, NumberKind kind, NumberRanges& ranges) {
    for (const TomlValue* const value : reader_.take_list(key)) {
      const auto range = parse_range(*value, kind);
      if (range) {
        ranges.push_back(*range);
      } else {
        reader_.blame(value->place, range.error().reason);
      }
    }
  }

  void take_ids(const char* key, AccountKind kind, NumberRanges& ranges,
                std::vector<std::string>& names) {
    for (const TomlValue* const value : reader_.take_list(key)) {
      const bool is_name = value->kind == Kind::kString && is_account_name(value->text);
      const auto range =
          is_name ? range_of(kind, value->text) : parse_range(*value, NumberKind::kId);
      if (!range) {
        reader_.blame(value->place, range.error().reason);
        continue;
      }
      ranges.push_back(*range);
      names.push_back(is_name ? value->text : "");
    }
  }

  [[nodiscard]] Result<NumberRange, BadText> range_of(AccountKind kind,
                                                      const std::string& name) const {
    const auto id = accounts_.id_of(kind, name);
    if (!id) return id.error();
    return NumberRange{*id, *id};
  }

  void take_patterns(const char* key, std::vector<std::string>& patterns) {
    for (const TomlValue* const value : reader_.take_list(key)) {
      if (value->text.size() > kLongestPattern) {
        reader_.blame(value->place, std::string(key) + " is longer than " +
                                        std::to_string(kLongestPattern) + " bytes");
        continue;
      }
      if (value->kind != Kind::kString || value->text.empty()) {
        reader_.blame(value->place, std::string(key) +
                                        " is to be text, in which * stands for any "
                                        "letters, or a list of it");
        continue;
      }
      const bool is_path = value->text.front() == '/' || value->text.front() == '*';
      if (std::string_view(key) == "command" && !is_path) {
        reader_.blame(value->place,
                      "command is to be a path from / on, as \"/usr/bin/psql\" or \"*/psql\"");
        continue;
      }
      patterns.push_back(value->text);
    }
  }

  void take_action() {
    const TomlMember* const action = reader_.take("action", Kind::kString, "text");
    if (action == nullptr) {
      if (!reader_.has("action")) {
        reader_.blame(table_.place, "a rule is to have an action: allow, deny, log or fault");
      }
      return;
    }
    std::vector<std::string> names;
    for (const auto& [name, meant] : kActions) {
      if (action->value.text == name) {
        rule_.action = meant;
        return;
      }
      names.emplace_back(name);
    }
    reader_.blame(action->value.place, no_such("action", action->value.text, names));
  }

  /// Of a key that goes with some actions alone.
  void blame_action(const TomlMember& member, const char* actions) {
    reader_.blame(member.place, member.key + " goes with " + actions + " alone");
  }

  void take_errno() {
    const TomlMember* const error =
        reader_.take("errno", Kind::kString, "the name of an errno, as \"EACCES\"");
    if (error == nullptr) {
      if (rule_.action == RuleAction::kDeny && !reader_.has("errno")) {
        reader_.blame(table_.place,
                      "a rule that denies is to say the errno, as errno = \"EACCES\"");
      }
      return;
    }
    if (rule_.action != RuleAction::kDeny && rule_.action != RuleAction::kFault) {
      blame_action(*error, "deny and fault");
    }
    const auto number = parse_errno(error->value.text);
    if (number) {
      rule_.error = *number;
    } else {
      reader_.blame(error->value.place, number.error().reason);
    }
  }

  void take_choice() {
    std::size_t chosen = 0;
    for (const auto& [key, choice] :
         {std::pair{"nth", FaultChoice::kNth}, std::pair{"every", FaultChoice::kEvery}}) {
      const TomlMember* const member = reader_.take(key, Kind::kInteger, "a number from 1 on");
      if (member == nullptr) continue;
      choose(*member, choice, chosen);
      if (member->value.integer < 1) {
        reader_.blame(member->value.place, std::string(key) + " is to be a number from 1 on");
      }
      rule_.number = static_cast<std::uint64_t>(member->value.integer);
    }
    if (const TomlMember* const member = reader_.take("fraction")) {
      choose(*member, FaultChoice::kFraction, chosen);
      const TomlValue& value = member->value;
      const bool is_integer = value.kind == Kind::kInteger;
      rule_.fraction = is_integer ? static_cast<double>(value.integer) : value.number;
      const bool fits =
          (is_integer || value.kind == Kind::kFloat) && rule_.fraction > 0 && rule_.fraction <= 1;
      if (!fits) reader_.blame(value.place, "fraction is to be a number above 0, up to 1");
    }
    if (const TomlMember* const seed = reader_.take("seed", Kind::kInteger, "a number")) {
      if (rule_.choice != FaultChoice::kFraction) blame_action(*seed, "fraction");
      rule_.seed = static_cast<std::uint64_t>(seed->value.integer);
    }
  }

  void choose(const TomlMember& member, FaultChoice choice, std::size_t& chosen) {
    if (rule_.action != RuleAction::kFault) blame_action(member, "fault");
    if (++chosen > 1) {
      reader_.blame(member.place, "only one of nth, every and fraction can choose the calls");
    }
    rule_.choice = choice;
  }

  void take_delay() {
    const TomlMember* const member = reader_.take("delay");
    if (member == nullptr) return;
    if (rule_.action != RuleAction::kFault) blame_action(*member, "fault");
    const auto delay = parse_delay(member->value);
    if (delay) {
      rule_.delay = *delay;
    } else {
      reader_.blame(member->value.place, delay.error().reason);
    }
  }

  const TomlValue& table_;
  const Accounts& accounts_;
  RuleNames& names_;
  TableReader reader_;
  Rule rule_;
};

}  // namespace

Rule read_rule(const TomlValue& table, const Accounts& accounts, RuleNames& names,
               Problems& problems) {
  return RuleReader(table, accounts, names, problems).read();
}

}  // namespace shmvisor::config
