#!/bin/bash
# What is said of a command line that cannot be: status 125, and one line that names what was most likely meant.
. "$(dirname "$0")/lib.sh" || exit 1
make_scratch
cd "$scratch" || fail cd
# What the environment of this script says is none of the test's.
for variable in $(compgen -v SHMVISOR_); do unset "$variable"; done

# hint WANTED WORD...
hint() {
  local wanted=$1
  shift
  timeout --kill-after=10 60 "$SHMVISOR" "$@" >out 2>err </dev/null
  expect "status of '$*'" 125 $?
  [ ! -s out ] || fail "'$*' writes to standard output: $(cat out)"
  expect "lines that '$*' writes" 1 "$(wc -l <err)"
  grep -qF -e "$wanted" err || fail "'$*': no '$wanted' in: $(cat err)"
  grep -q "^shmvisor: " err || fail "'$*' does not say who speaks: $(cat err)"
}

heading "subcommands"
hint "did you mean 'run'?" rum
for words in remove:rm delete:rm ipcrm:rm list:ls ipcs:ls lsipc:ls inspect:stat exec:run strace:trace help:--help \
  version:--version evnets:events limit:limits; do
  hint "there is no subcommand '${words%%:*}'; did you mean '${words#*:}'? (see 'shmvisor --help')" "${words%%:*}"
done
hint "to start a command: shmvisor run -- postgres" postgres -D data
hint "A subcommand is required (see 'shmvisor --help')"

heading "options"
hint "there is no option '--shmax'; did you mean '--shmmax'? (see 'shmvisor run --help')" run --shmax 5 -- touch ran
hint "did you mean '--version'?" --vresion
hint "there is no option '-x' (see 'shmvisor ls --help')" ls -x
hint "'db' is one word too many; did you mean '--name db'?" ls db
hint "'12' is one word too many; did you mean '--pid 12'?" ls 12
hint "'db' is one word too many (see 'shmvisor agent --help')" agent db

heading "options that exclude each other"
hint "--join-or-serve PATH joins, and serves where nobody does" run --join a --serve b -- touch ran
hint "--shmmax is for the run that serves there" run --join a --shmmax 1M -- touch ran
hint "--trace is for the run that serves there" run --trace --join a -- touch ran
hint "--join-or-serve alone does both" run --join-or-serve a --serve b -- touch ran
hint "--no-linger and --join-or-serve exclude each other" run --join-or-serve a --no-linger -- touch ran
hint "--no-kill exclude each other" run --no-kill --die-with-parent -- touch ran
hint "--json and --quiet exclude each other" ls -q --json
hint "give one of ID..., --key KEY, -a, --all and --orphans" rm
hint "give one of ID..., --key KEY, -a, --all and --orphans" rm --all 3

heading "files that cannot be"
hint "--trace: '$scratch' is a directory" run --trace="$scratch" -- touch ran
hint "--report: '/' is a directory" run --report=/ -- touch ran
SHMVISOR_TRACE=/ hint "'/' is a directory" run -- touch ran
[ ! -e ran ] || fail "a command ran in spite of it"
