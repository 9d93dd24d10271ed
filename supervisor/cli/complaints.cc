#include "supervisor/cli/complaints.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "supervisor/cli/option_list.h"
#include "supervisor/cli/plain_words.h"
#include "supervisor/config/nearest.h"

namespace shmvisor {
namespace {

struct OtherWord {
  std::string_view word;
  std::string_view ours;
};
/// What other programs call it.
constexpr std::array kOtherWords = {OtherWord{"remove", "rm"},
                                    OtherWord{"delete", "rm"},
                                    OtherWord{"ipcrm", "rm"},
                                    OtherWord{"list", "ls"},
                                    OtherWord{"ipcs", "ls"},
                                    OtherWord{"lsipc", "ls"},
                                    OtherWord{"segments", "ls"},
                                    OtherWord{"show", "stat"},
                                    OtherWord{"inspect", "stat"},
                                    OtherWord{"info", "stat"},
                                    OtherWord{"exec", "run"},
                                    OtherWord{"start", "run"},
                                    OtherWord{"launch", "run"},
                                    OtherWord{"strace", "trace"},
                                    OtherWord{"follow", "events"},
                                    OtherWord{"watch", "events"},
                                    OtherWord{"logs", "events"},
                                    OtherWord{"stats", "report"},
                                    OtherWord{"summary", "report"},
                                    OtherWord{"processes", "ps"},
                                    OtherWord{"pmap", "maps"},
                                    OtherWord{"usage", "limits"},
                                    OtherWord{"ulimit", "limits"},
                                    OtherWord{"sysctl", "set"},
                                    OtherWord{"configure", "set"},
                                    OtherWord{"doctor", "check"},
                                    OtherWord{"daemon", "agent"},
                                    OtherWord{"serve", "agent"},
                                    OtherWord{"profile", "oci-profile"},
                                    OtherWord{"help", "--help"},
                                    OtherWord{"version", "--version"}};

struct Contradiction {
  std::string_view one;
  std::string_view other;  ///< empty: any
  std::string_view advice;
};
/// Stands in an advice for the second option.
constexpr std::string_view kOther = "OTHER";
/// The first that fits.
constexpr std::array kContradictions = {
    Contradiction{"--join-or-serve", "--no-linger",
                  "processes would be left that the next server does not know"},
    Contradiction{"--join-or-serve", "", "--join-or-serve alone does both"},
    Contradiction{"--join", "--serve", "--join-or-serve PATH joins, and serves where nobody does"},
    Contradiction{"--join", "", "OTHER is for the run that serves there"},
    Contradiction{"--no-kill", "--die-with-parent",
                  "the one keeps the command alive, and the "
                  "other ends it"}};

std::vector<std::string> long_options(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* const option : visible_options(app)) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::string about_subcommand(const CLI::App& app, const std::string& word) {
  std::vector<std::string> names;
  for (const CLI::App* const one : named_subcommands(app)) names.push_back(one->get_name());
  if (word.empty()) return "the subcommand is empty";
  const std::string clause = "there is no subcommand '" + word + "'";
  for (const OtherWord& other : kOtherWords) {
    const std::string ours(other.ours);
    const bool known =
        ours.front() == '-' || std::find(names.begin(), names.end(), ours) != names.end();
    if (word == other.word && known) return clause + did_you_mean(ours);
  }
  const std::string nearest = nearest_word(word, names);
  if (!nearest.empty()) return clause + did_you_mean(nearest);
  return clause + "; to start a command: shmvisor run -- " + word;
}

/// "-q", "-vv", "-o file"
bool is_short_option(const CLI::App& used, const std::string& word) {
  return word[1] != '-' && used.get_option_no_throw(word.substr(0, 2)) != nullptr;
}

/// Of such a one; empty where its letters are known.
std::string about_letters(const CLI::App& used, const std::string& word) {
  for (std::size_t at = 1; at < word.size(); ++at) {
    const std::string letter = {'-', word[at]};
    const CLI::Option* const option = used.get_option_no_throw(letter);
    if (word[at] == '=')
      return "'" + word.substr(0, at) + "' has no value, and here is '" + word + "'";
    if (option == nullptr) return "there is no option '" + letter + "', as in '" + word + "'";
    if (!is_flag(*option)) return {};  // its value follows
  }
  return {};
}

/// "; run and agent have it": the subcommands with that option, where they are others.
std::string who_has(const CLI::App& used, const std::string& option) {
  const CLI::App* const parent = used.get_parent();
  std::vector<std::string> names;
  for (const CLI::App* const one : named_subcommands(parent == nullptr ? used : *parent)) {
    if (one->get_option_no_throw(option) != nullptr) names.push_back(one->get_name());
  }
  constexpr std::size_t kMostNames = 3;
  if (names.empty()) return {};
  if (names.size() > kMostNames) {
    names.resize(kMostNames);
    names.emplace_back("others");
  }
  return "; " + enumerated(names) + (names.size() == 1 ? " has it" : " have it");
}

/// Empty where all of `words` are known.
std::string about_option(const CLI::App& used, const std::vector<std::string>& words) {
  const std::vector<std::string> known = long_options(used);
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.find('='));
    if (name == "--") break;
    if (name.size() < 2 || name.front() != '-') continue;
    if (is_short_option(used, name)) {
      if (std::string clause = about_letters(used, word); !clause.empty()) return clause;
      continue;
    }
    if (used.get_option_no_throw(name) != nullptr) continue;
    const std::string clause = "there is no option '" + name + "'";
    const std::string nearest = nearest_word(name, known);
    return clause + (nearest.empty() ? who_has(used, name) : did_you_mean(nearest));
  }
  return {};
}

/// A word before the subcommand.
std::string about_order(const CLI::App& used, const std::vector<std::string>& words) {
  const std::vector<std::string> before(words.begin(), std::ranges::find(words, used.get_name()));
  // An option that the subcommand has not is wrong behind it too.
  if (before.empty() || !about_option(used, before).empty()) return {};
  const std::string& first = before.front();
  if (first == "help")
    return "there is no subcommand 'help'; did you mean '" + used.get_name() + " --help'?";
  std::string meant = used.get_name();
  for (const std::string& word : before) meant += " " + word;
  return "'" + first + "' is before the subcommand; did you mean '" + meant + "'?";
}

/// A word too many.
std::string about_operand(const CLI::App& used) {
  for (const std::string& word : used.remaining()) {
    if (word.empty() || word.front() == '-') continue;
    const std::string clause = "'" + word + "' is one word too many";
    // A run is called by name, as podman and others have it.
    const bool has_name = used.get_option_no_throw("--pid") != nullptr;
    const bool is_number = word.find_first_not_of("0123456789") == std::string::npos;
    if (!has_name) return clause;
    return clause + did_you_mean((is_number ? "--pid " : "--name ") + word);
  }
  return {};
}

/// Of two options that were both given.
std::string about_contradiction(const CLI::App& used) {
  for (const CLI::Option* const option : visible_options(used)) {
    for (const CLI::Option* const other : option->get_excludes()) {
      if (option->count() == 0 || other->count() == 0) continue;
      const std::string names[] = {main_name(*option), main_name(*other)};
      std::string clause = names[0] + " and " + names[1] + " exclude each other";
      for (const Contradiction& known : kContradictions) {
        const auto is_pair = [&known](const std::string& one, const std::string& two) {
          return one == known.one && (known.other.empty() || two == known.other);
        };
        if (!is_pair(names[0], names[1]) && !is_pair(names[1], names[0])) continue;
        const std::string& second = names[0] == known.one ? names[1] : names[0];
        std::string advice(known.advice);
        if (advice.starts_with(kOther)) advice.replace(0, kOther.size(), second);
        return clause + ": " + advice;
      }
      return clause;
    }
  }
  return {};
}

/// Both names of an option with one comma would read as two options.
std::string in_a_list(const CLI::Option& option) {
  std::string text = spelling(option);
  if (const auto comma = text.find(", "); comma != std::string::npos) text.replace(comma, 2, "/");
  return text;
}

/// Of a group of options of which one is to be given.
std::string about_choice(const CLI::App& used) {
  for (const CLI::App* const group : used.get_subcommands([](const CLI::App*) { return true; })) {
    if (!group->get_name().empty() || group->get_require_option_min() != 1) continue;
    const bool only_one = group->get_require_option_max() == 1;
    std::size_t given = 0;
    std::string names;
    const auto options = visible_options(*group);
    for (const CLI::Option* const option : options) {
      if (option->count() != 0) ++given;
      const bool last = option == options.back();
      names += (names.empty() ? "" : last ? " and " : ", ") + in_a_list(*option);
    }
    if (given == 0 || (only_one && given != 1)) {
      return (only_one ? "give one of " : "give at least one of ") + names;
    }
  }
  return {};
}

}  // namespace

std::string complaint_about(const CLI::App& app, const std::vector<std::string>& words,
                            const CLI::ParseError& error) {
  const auto chosen = app.get_subcommands();
  const CLI::App& used = chosen.empty() ? app : *chosen.front();
  // Words may be refused before they are parsed.
  const bool is_named = chosen.empty() && !words.empty() &&
                        !app.get_subcommands([&words](const CLI::App* one) {
                              return one->get_name() == words.front();
                            })
                             .empty();
  const std::string name = !chosen.empty() ? used.get_name() + " "
                           : is_named      ? words.front() + " "
                                           : "";
  const std::string see = " (see 'shmvisor " + name + "--help')";
  std::string clause;
  if (chosen.empty() && !is_named && !words.empty() && !words.front().starts_with('-')) {
    clause = about_subcommand(app, words.front());
  }
  switch (static_cast<CLI::ExitCodes>(error.get_exit_code())) {
    case CLI::ExitCodes::ExtrasError:
      if (clause.empty() && !chosen.empty()) clause = about_order(used, words);
      if (clause.empty()) clause = about_option(used, words);
      if (clause.empty()) clause = about_operand(used);
      break;
    case CLI::ExitCodes::RequiredError:
      if (clause.empty()) clause = about_option(used, words);
      if (clause.empty()) clause = about_choice(used);
      break;
    case CLI::ExitCodes::ExcludesError:
      clause = about_contradiction(used);
      break;
    default:
      break;
  }
  return (clause.empty() ? in_plain_words(error.what()) : clause) + see;
}

}  // namespace shmvisor
