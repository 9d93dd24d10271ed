#include <utility>

#include "supervisor/cli/completion.h"
#include "supervisor/cli/option_list.h"

namespace shmvisor {
namespace {

/// What follows from no definition. Words of `run` that are its command's are completed as those of
/// that command, where the package bash-completion is there.
constexpr const char* kFunctions = R"shell(
_shmvisor_runs() {
  local folder socket
  for folder in "${XDG_RUNTIME_DIR:-/run/user/$UID}/shmvisor" /run/shmvisor; do
    for socket in "$folder"/[a-zA-Z]*.control; do
      [ -S "$socket" ] && socket=${socket##*/} && echo "${socket%.control}"
    done
  done
}

# _shmvisor_reply CUR KIND [WORD...]
_shmvisor_reply() {
  local cur=$1 kind=$2 words
  shift 2
  case $kind in
    file)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      return
      ;;
    run) words=$(_shmvisor_runs) ;;
    segments) words=$(timeout 2 shmvisor ls -q 2>/dev/null) ;;
    words) words=$* ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

# Prints the place of the command of run.
_shmvisor_command() {
  local i word
  for ((i = 2; i <= COMP_CWORD; ++i)); do
    word=${COMP_WORDS[i]}
    case $word in
      --) echo $((i + 1)) && return ;;
      -?*)
        if [ "${COMP_WORDS[i + 1]}" = = ]; then
          ((i += 2))
        elif [[ " $(_shmvisor_takes run) " == *" $word "* ]]; then
          ((++i))
        fi
        ;;
      *) echo "$i" && return ;;
    esac
  done
  echo $((COMP_CWORD + 1))
}

_shmvisor() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} sub=${COMP_WORDS[1]} command joined=
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    _shmvisor_reply "$cur" words $(_shmvisor_subcommands) $(_shmvisor_options "")
    return
  fi
  if [ "$sub" = run ]; then
    command=$(_shmvisor_command)
    if [ "$command" -le "$COMP_CWORD" ] && [[ $command -lt $COMP_CWORD || $cur != -* ]]; then
      if declare -F _command_offset >/dev/null; then
        _command_offset "$command"
      elif [ "$command" = "$COMP_CWORD" ]; then
        mapfile -t COMPREPLY < <(compgen -c -- "$cur")
      else
        _shmvisor_reply "$cur" file
      fi
      return
    fi
  fi
  if [ "$sub" = config ] && [ "$COMP_CWORD" -gt 2 ]; then
    case ${COMP_WORDS[2]} in
      check) _shmvisor_reply "$cur" file && return ;;
      show)
        # Behind it are options of run, or of agent.
        if [ "$COMP_CWORD" = 3 ] && [[ $cur != -* ]]; then
          _shmvisor_reply "$cur" words run agent
          return
        fi
        sub=run
        [ "${COMP_WORDS[3]}" != agent ] || sub=agent
        ;;
    esac
  fi
  # Readline takes "=" for a word of its own.
  if [ "$cur" = = ]; then
    cur="" joined=yes
  elif [ "$prev" = = ]; then
    prev=${COMP_WORDS[COMP_CWORD - 2]} joined=yes
  fi
  if [ -n "$joined" ] || [[ " $(_shmvisor_takes "$sub") " == *" $prev "* ]]; then
    _shmvisor_reply "$cur" $(_shmvisor_value "$sub" "$prev")
  elif [[ $cur == -* ]]; then
    _shmvisor_reply "$cur" words $(_shmvisor_options "$sub")
  else
    _shmvisor_reply "$cur" $(_shmvisor_value "$sub" operand)
  fi
}

complete -F _shmvisor shmvisor
)shell";

std::string names_of(const CLI::Option& option) {
  std::string names;
  for (const std::string& name : option.get_snames()) names += " -" + name;
  for (const std::string& name : option.get_lnames()) names += " --" + name;
  return names;
}

/// "run) echo 'TEXT' ;;"
std::string case_of(const std::string& pattern, const std::string& text) {
  return "    " + (pattern.empty() ? "''" : pattern) + ") echo '" + text + "' ;;\n";
}

std::string function(const std::string& name, const std::string& word, const std::string& cases) {
  return name + "() {\n  case " + word + " in\n" + cases + "  esac\n}\n";
}

std::string kind_text(const Completed& value) {
  switch (value.kind) {
    case Completed::Kind::kFile:
      return "file";
    case Completed::Kind::kRun:
      return "run";
    case Completed::Kind::kSegments:
      return "segments";
    case Completed::Kind::kWords:
      return "words " + value.words;
    case Completed::Kind::kNothing:
      break;
  }
  return {};
}

struct Cases {
  std::string options;  ///< of a subcommand, each
  std::string takes;    ///< those whose value is the next word
  std::string values;   ///< of an option, what they are
};

void add(Cases& cases, const CLI::App& used, const std::string& subcommand) {
  std::string options;
  std::string takes;
  bool has_operand = false;
  for (const CLI::Option* const option : visible_options(used)) {
    const std::string names = names_of(*option);
    options += names;
    const std::string kind = kind_text(completed_value(used, *option));
    if (!is_flag(*option) && !is_operand(*option) && !has_optional_value(*option)) takes += names;
    // Of a second operand kFunctions know.
    const bool is_second = is_operand(*option) && std::exchange(has_operand, true);
    if (kind.empty() || is_second) continue;
    std::string pattern;
    for (const std::string& name : option->get_snames())
      pattern += subcommand + " -" + name + "'|'";
    pattern += subcommand + " " + (is_operand(*option) ? "operand" : main_name(*option));
    cases.values += case_of("'" + pattern + "'", kind);
  }
  cases.options += case_of(subcommand, options.substr(options.empty() ? 0 : 1));
  if (!takes.empty()) cases.takes += case_of(subcommand, takes.substr(1));
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
  Cases cases;
  add(cases, app, "");
  std::string subcommands;
  for (const CLI::App* const one : named_subcommands(app)) {
    subcommands += (subcommands.empty() ? "" : " ") + one->get_name();
    add(cases, *one, one->get_name());
  }
  return "# bash(1) completion for shmvisor, as 'shmvisor completion bash' prints it.\n"
         "# shellcheck shell=bash disable=SC2046\n"
         "_shmvisor_subcommands() { echo '" +
         subcommands + "'; }\n" + function("_shmvisor_options", "$1", cases.options) +
         function("_shmvisor_takes", "$1", cases.takes) +
         function("_shmvisor_value", "\"$1 $2\"", cases.values) + kFunctions;
}

}  // namespace shmvisor
