#!/bin/bash
# Each help fits a screen, and has examples that the program takes.
. "$(dirname "$0")/lib.sh" || exit 1
make_scratch
# Those of whom most is asked: one of a large terminal. Of a small one fits the rest.
most_lines() {
  case $1 in
    '' | run | agent) echo 60 ;;
    *) echo 30 ;;
  esac
}

# check_help WORD...: of `shmvisor WORD... --help`.
check_help() {
  timeout 60 "$SHMVISOR" "$@" --help >"$scratch/help" 2>"$scratch/err" </dev/null || fail "$* --help: status $?"
  assert_silent "$scratch/err"
  awk -v "most=80" 'length > most { print FILENAME ": " $0; wide = 1 } END { exit wide }' "$scratch/help" ||
    fail "$* --help has lines of more than 80 columns"
  local lines
  lines=$(wc -l <"$scratch/help")
  [ "$lines" -le "$(most_lines "$*")" ] || fail "$* --help has $lines lines, more than $(most_lines "$*")"
  grep -q "^Usage: shmvisor" "$scratch/help" || fail "$* --help has no usage"
  sed -n '/^Examples:$/,/^$/p' "$scratch/help" | grep '^  ' >"$scratch/examples" || fail "$* --help has no example"
  grep -q "shmvisor${*:+ $*}" "$scratch/examples" || fail "no example of $* --help shows it: $(cat "$scratch/examples")"
}

heading "the helps"
check_help
cp "$scratch/help" "$scratch/main"
for subcommand in $(subcommands); do
  grep -qE "^  $subcommand  +[A-Z]" "$scratch/main" || fail "--help does not name $subcommand"
  check_help "$subcommand"
  # Each option of an example is one of the subcommand's.
  options_of "$subcommand" >"$scratch/options"
  grep -E "shmvisor $subcommand( |$)" "$scratch/examples" | sed 's/ -- .*//' | grep -oE -e '--[a-z-]+' >"$scratch/used"
  while read -r option; do
    grep -qxe "$option" "$scratch/options" || fail "an example of $subcommand has $option, which is no option of it"
  done <"$scratch/used"
done
[ "$(grep -cE '^  [a-z-]+  +[A-Z]' "$scratch/main")" -gt 5 ] || fail "--help names no subcommands: $(cat "$scratch/main")"

heading "no colours but on a terminal, and never with NO_COLOR"
escape=$(printf '\033')
for arguments in --help 'run --help' 'rum' check 'run --report -- true'; do
  # shellcheck disable=SC2086
  "$SHMVISOR" $arguments >"$scratch/out" 2>&1 </dev/null
  ! grep -q "$escape" "$scratch/out" || fail "$arguments writes colours to a file"
  NO_COLOR=1 script -qc "'$SHMVISOR' $arguments" "$scratch/typescript" >"$scratch/out" </dev/null
  [ -s "$scratch/out" ] || fail "$arguments writes nothing to a terminal"
  ! grep -q "$escape" "$scratch/out" || fail "$arguments writes colours in spite of NO_COLOR"
done
