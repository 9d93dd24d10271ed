#include <string_view>

#include "supervisor/cli/completion.h"
#include "supervisor/cli/option_list.h"

namespace shmvisor {
namespace {

constexpr const char* kBegin = R"shell(#compdef shmvisor
# zsh(1) completion for shmvisor, as 'shmvisor completion zsh' prints it.

_shmvisor_runs() {
  local -a runs
  runs=(${XDG_RUNTIME_DIR:-/run/user/$UID}/shmvisor/[a-zA-Z]*.control(N:t:r) /run/shmvisor/[a-zA-Z]*.control(N:t:r))
  compadd -a runs
}

_shmvisor_segments() {
  local -a segments
  segments=(${(f)"$(timeout 2 shmvisor ls -q 2>/dev/null)"})
  compadd -a segments
}

)shell";

/// Of `config`: behind `show` are options of run, or of agent.
constexpr const char* kConfigShow = R"shell(    if [[ $words[2] = show && $CURRENT -gt 2 ]]; then
      if [[ $CURRENT -eq 3 && $words[3] != -* ]]; then
        compadd run agent
        return
      fi
      case $words[3] in
        run | agent) words=("${(@)words[3,-1]}") && ((CURRENT -= 2)) ;;
        *) words=(run "${(@)words[3,-1]}") && ((CURRENT -= 1)) ;;
      esac
      _shmvisor_words
      return
    fi
)shell";

/// For what is inside of single quotes, and in an argument of _arguments.
std::string quoted(const std::string& text) {
  std::string result;
  for (const char letter : text) {
    if (letter == '\'') {
      result += "'\\''";
      continue;
    }
    if (std::string_view("[]:\\").find(letter) != std::string_view::npos) result += '\\';
    result += letter;
  }
  return result;
}

std::string action_of(const Completed& value) {
  switch (value.kind) {
    case Completed::Kind::kFile:
      return "_files";
    case Completed::Kind::kRun:
      return "_shmvisor_runs";
    case Completed::Kind::kSegments:
      return "_shmvisor_segments";
    case Completed::Kind::kWords:
      return "(" + value.words + ")";
    case Completed::Kind::kNothing:
      break;
  }
  return " ";
}

/// One argument of _arguments for each name.
std::string specifications(const CLI::App& used, const CLI::Option& option) {
  const std::string action = action_of(completed_value(used, option));
  if (is_operand(option)) {
    const std::string many = option.get_items_expected_max() > 1 ? "*" : "";
    return " \\\n    '" + many + ":" + main_name(option) + ":" + action + "'";
  }
  std::string names;
  for (const std::string& name : option.get_snames()) names += " -" + name;
  for (const std::string& name : option.get_lnames()) names += " --" + name;
  names.erase(0, 1);
  const std::string exclusive = names.find(' ') == std::string::npos ? "" : "(" + names + ")";
  std::string value;
  if (!is_flag(option)) {
    value = (has_optional_value(option) ? "::" : ":") + value_name(option) + ":" + action;
  }
  std::string text;
  const auto add = [&](const std::string& name, const char* joint) {
    text += " \\\n    '" + exclusive + name + (is_flag(option) ? "" : joint) + "[" +
            quoted(option.get_description()) + "]" + value + "'";
  };
  for (const std::string& name : option.get_snames()) add("-" + name, "");
  for (const std::string& name : option.get_lnames()) {
    add("--" + name, has_optional_value(option) ? "=-" : "=");
  }
  return text;
}

std::string specifications(const CLI::App& used) {
  std::string text;
  for (const CLI::Option* const option : visible_options(used)) {
    text += specifications(used, *option);
  }
  return text;
}

}  // namespace

std::string zsh_completion(const CLI::App& app) {
  std::string described;
  std::string cases;
  for (const CLI::App* const one : named_subcommands(app)) {
    described += "\n    '" + one->get_name() + ":" + quoted(one->get_description()) + "'";
    // What is behind the command of `run` is the command's.
    const bool is_run = one->get_name() == "run";
    cases += "  " + one->get_name() + ")\n" + (one->get_name() == "config" ? kConfigShow : "") +
             "    _arguments -s -S" + (is_run ? " -A '-*'" : "") + specifications(*one) +
             (is_run ? " \\\n    '(-)1:command: _command_names -e' \\\n    '*::arguments: _normal'"
                     : "") +
             "\n    ;;\n";
  }
  return kBegin + std::string("_shmvisor_words() {\n  case $words[1] in\n") + cases +
         "  esac\n}\n\n_shmvisor() {\n  local curcontext=\"$curcontext\" state line\n" +
         "  local -a subcommands\n  subcommands=(" + described + "\n  )\n  _arguments -C" +
         specifications(app) +
         " \\\n    '1: :->subcommand' '*:: :->words'\n"
         "  [[ $state = subcommand ]] && _describe subcommand subcommands\n"
         "  [[ $state = words ]] && _shmvisor_words\n}\n\n"
         "if [[ $funcstack[1] = _shmvisor ]]; then\n  _shmvisor \"$@\"\nelse\n"
         "  compdef _shmvisor shmvisor\nfi\n";
}

}  // namespace shmvisor
