#include "supervisor/config/rule_text.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <vector>

#include "supervisor/config/config_problem.h"
#include "supervisor/config/toml_text.h"

namespace shmvisor::config {
namespace {

std::string number_text(std::uint64_t number, bool is_key) {
  if (!is_key) return std::to_string(number);
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(number));
  return text.data();
}

std::string line_of(const char* key, const std::vector<std::string>& values) {
  if (values.empty()) return {};
  std::string line = std::string(key) + " = [";
  for (std::size_t i = 0; i < values.size(); ++i)
    line += (i == 0 ? "" : ", ") + toml_text(values[i]);
  return line + "]\n";
}

std::vector<std::string> texts_of(const NumberRanges& ranges, bool is_key = false) {
  std::vector<std::string> values;
  for (const auto& [first, last] : ranges) {
    std::string text = number_text(first, is_key);
    if (first != last) text += "-" + number_text(last, is_key);
    values.push_back(text);
  }
  return values;
}

/// `names`: RuleNames.
std::string line_of(const char* key, const NumberRanges& ranges,
                    const std::vector<std::string>& names) {
  std::vector<std::string> values = texts_of(ranges);
  std::string comment;
  for (std::size_t i = 0; i < values.size() && i < names.size(); ++i) {
    if (names[i].empty()) continue;
    comment += (comment.empty() ? " # " : ", ") + on_one_line(names[i]) + " is " + values[i];
    values[i] = names[i];
  }
  std::string line = line_of(key, values);
  if (!line.empty()) line.insert(line.size() - 1, comment);
  return line;
}

std::string call_line(RuledCalls calls) {
  std::vector<std::string> names;
  RuledCalls shmctl;
  shmctl.add_shmctl();
  const bool all_shmctl = calls.has(RuledCall::kOtherCommand);
  for (const auto& [name, call] : kRuledCallNames) {
    if (calls.has(call) && !(all_shmctl && shmctl.has(call))) names.emplace_back(name);
  }
  if (all_shmctl) names.emplace_back("shmctl");
  return line_of("call", names);
}

std::string fault_lines(const Rule& rule) {
  std::string lines;
  if (rule.choice == FaultChoice::kNth) lines += "nth = " + std::to_string(rule.number) + "\n";
  if (rule.choice == FaultChoice::kEvery) lines += "every = " + std::to_string(rule.number) + "\n";
  if (rule.choice == FaultChoice::kFraction) {
    std::array<char, 32> text{};
    // With a point or an exponent, or it is an integer, which is right too.
    const auto end = std::to_chars(text.data(), text.data() + text.size(), rule.fraction).ptr;
    lines += "fraction = " + std::string(text.data(), end) + "\n";
    lines += "seed = " + std::to_string(static_cast<std::int64_t>(rule.seed)) + "\n";
  }
  if (rule.delay.count() != 0) {
    lines += "delay = \"" + std::to_string(rule.delay.count()) + "us\"\n";
  }
  return lines;
}

}  // namespace

std::string rule_text(const Rule& rule, const RuleNames& names) {
  static constexpr std::array kActions = {"allow", "deny", "log", "fault"};
  std::string lines = call_line(rule.calls);
  lines += line_of("uid", rule.uids, names.users) + line_of("gid", rule.gids, names.groups);
  lines += line_of("key", texts_of(rule.keys, true)) + line_of("size", texts_of(rule.sizes));
  lines += line_of("command", rule.commands) + line_of("container", rule.containers);
  lines += std::string("action = \"") + kActions.at(static_cast<std::size_t>(rule.action)) + "\"\n";
  if (rule.error != 0) {
    const char* const name = ::strerrorname_np(rule.error);
    lines += std::string("errno = \"") + (name == nullptr ? "EIO" : name) + "\"\n";
  }
  if (rule.action == RuleAction::kFault) lines += fault_lines(rule);
  return lines;
}

}  // namespace shmvisor::config
