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
hint "there is no subcommand 'RUN'; did you mean 'run'?" RUN
hint "there is no subcommand 'metrics'; did you mean 'serve-metrics'?" metrics
hint "the subcommand is empty" ''
hint "there is no subcommand 'help'; did you mean 'ls --help'?" help ls
hint "'--name' is before the subcommand; did you mean 'ls --name db'?" --name db ls
hint "'db' is before the subcommand; did you mean 'ls db'?" db ls
hint "there is no option '-x' (see 'shmvisor ls --help')" -x ls
hint "A subcommand is required (see 'shmvisor --help')"

heading "options"
hint "there is no option '--shmax'; did you mean '--shmmax'? (see 'shmvisor run --help')" run --shmax 5 -- touch ran
hint "did you mean '--version'?" --vresion
hint "there is no option '-x' (see 'shmvisor ls --help')" ls -x
hint "'db' is one word too many; did you mean '--name db'?" ls db
hint "there is no option '--shmmax'; run, agent and set have it" --shmmax 1M
hint "there is no option '--orphans'; rm has it" ls --orphans
hint "there is no option '-x', as in '-vx'" run -vx -- touch ran
hint "'-v' has no value, and here is '-v=3'" run -v=3 -- touch ran
hint "'12' is one word too many; did you mean '--pid 12'?" ls 12
hint "'db' is one word too many (see 'shmvisor agent --help')" agent db

heading "values"
hint "--proc: 'fusee' is none of fuse, hide and off; did you mean 'fuse'?" run --proc fusee -- touch ran
SHMVISOR_PROC=hdie hint "SHMVISOR_PROC in the environment: --proc: 'hdie' is none of fuse, hide and off; did you mean 'hide'?" \
  run -- touch ran
hint "ID: 'x' is no number from 0 to 2147483647" stat x
hint "--tracer-wait: '-1' is no number from 0 to 3600" run --tracer-wait=-1 -- touch ran
hint "--shmmax: its SIZE is missing" run --shmmax
hint "--shmmax is given twice, and has one value" run --shmmax 1M --shmmax 2M -- touch ran
hint "--name is given 3 times, and has one value" run --name a --name b --name c -- touch ran
hint "--shmmni: 'abc' is no number up to 32768" run --shmmni abc -- touch ran
hint "--no-linger: 'maybe' is neither true nor false" run --no-linger=maybe -- touch ran
hint "--populate: '2x' is neither a number nor true or false" run --populate=2x -- touch ran
hint "--signal: 'BUS' is none of SIGSEGV and SIGBUS; did you mean 'SIGBUS'?" detach 1 --signal BUS
hint "--signal: 'sigsegv' is none of SIGSEGV and SIGBUS; did you mean 'SIGSEGV'?" detach 1 --signal sigsegv
hint "no feature is called 'inotifi'; did you mean 'inotify'?" run --without inotifi -- touch ran
hint "there is no flag 'LOG'; did you mean 'SECCOMP_FILTER_FLAG_LOG'?" oci-profile --flags LOG
hint "--socket: the path is empty" agent --socket ''
hint "--serve-group: 'g.sock' is given twice" agent --socket a.sock --serve-group a=g.sock --serve-group b=g.sock
hint "WHAT: 'chek' is none of check and show; did you mean 'check'?" config chek
hint "show: 'agnet' is none of run and agent; did you mean 'agent'?" config show agnet
hint "show: 'x.toml' is no option; did you mean '--config x.toml'?" config show run x.toml
hint "SHELL: 'fish' is none of bash and zsh" completion fish
hint "--listen: '1.2.3' is neither ADDRESS:PORT" serve-metrics --listen 1.2.3
hint "--listen: '99999' is no port up to 65535" web --listen 99999
hint "give at least one of --shmmax SIZE, --shmall PAGES and --shmmni NUMBER" set

heading "empty words, of variables that are not set"
hint "--name: the value is empty" ls --name ''
hint "--registry: the value is empty" rm --all --registry ''
hint "--key" rm --key ''
hint "'' is no mode, as 640" load --mode ''
timeout 60 "$SHMVISOR" run --report -- true 2>err || fail "an option whose value may be left out: $(cat err)"
hint "FILE" fsck ''
SHMVISOR_NAME='' timeout 60 "$SHMVISOR" run -- true || fail "an empty variable is none"

heading "numbers"
hint "--tracer-wait: 'nan' is no number from 0 to 3600" run --tracer-wait nan -- touch ran
hint "--delay: 'nan' is no number from 0.1 to 3600" top --delay nan
printf '[run]\ntracer-wait = nan\n' >nan.toml
hint "nan.toml:2:1: tracer-wait: 'nan' is no number from 0 to 3600" run --config nan.toml -- touch ran
printf '[limits]\nshmmax = -5\n' >negative.toml
hint "negative.toml:2:1: shmmax: '-5' is no whole number from 0 to 18446744073709551615" run --config negative.toml -- touch ran
hint "'0' is no whole number from 1024 to" run --audit ./a --audit-size 0 -- touch ran
hint "'1.5G' is no whole number from 0 to" run --shmmax 1.5G -- touch ran
hint "--join: '../x' is no name" run --join name:../x -- touch ran

heading "what others have chosen does not act on a terminal"
hint "'?[2J?]0;x?' is no whole number" run --shmmax $'\e[2J\e]0;x\a' -- touch ran
hint "'a?shmvisor: b' is one word too many" ls $'a\nshmvisor: b'
timeout 60 "$SHMVISOR" run -- $'x\e[2J\ny' 2>err
expect "status of what is not there" 127 $?
grep -qF "'x?[2J?y'" err || fail "the log has control characters: $(cat -v err)"

heading "a client and what a run's log is told by"
SHMVISOR_LOG_LEVEL=foo SHMVISOR_WITHOUT=foo SHMVISOR_VERBOSE=1x XDG_RUNTIME_DIR=$scratch/none \
  timeout 60 "$SHMVISOR" ls --log-level bar --verbose=bar -vv 2>err
expect "status of a client that finds no run" 1 $?

heading "an empty value behind '='"
# Not the next word.
hint "--registry: the value is empty" rm --name a --registry= main 0
hint "--name: the value is empty" rm --name= 3 4
hint "--shmmax: the value is empty (see 'shmvisor run --help')" run --shmmax= -- touch ran
hint "--trace: the value is empty" run --trace= -- touch ran
hint "--report: the value is empty" run --report= -- touch ran
hint "--name: the value is empty" config show run --name= --keeper

heading "options that exclude each other"
hint "--join-or-serve PATH joins, and serves where nobody does" run --join a --serve b -- touch ran
hint "--shmmax is for the run that serves there" run --join a --shmmax 1M -- touch ran
hint "--trace is for the run that serves there" run --trace --join a -- touch ran
hint "--join-or-serve alone does both" run --join-or-serve a --serve b -- touch ran
hint "--no-linger and --join-or-serve exclude each other" run --join-or-serve a --no-linger -- touch ran
hint "--no-kill exclude each other" run --no-kill --die-with-parent -- touch ran
hint "--json and --quiet exclude each other" ls -q --json
hint "give one of ID..., --key KEY, -a/--all and --orphans" rm
hint "give one of ID..., --key KEY, -a/--all and --orphans" rm --all 3

heading "options that do nothing"
hint "--audit-format: it does nothing without --audit PLACE" run --audit-format json -- touch ran
hint "--audit-keep: it does nothing without --audit PLACE" run --audit-keep 3 --join a -- touch ran
hint "--audit-size: it does nothing with --audit syslog, which is no file" agent --audit syslog --audit-size 1M
hint "--audit-format: it does nothing with --audit journald, which has a field for each member" \
  run --audit journald --audit-format json -- touch ran
hint "--own-group: it does nothing with --group, which gives the command a group of its own already" \
  run --own-group --group -- touch ran
hint "--userns: it does nothing with --proc off, unless for --private-ipc" run --userns --proc=off -- touch ran
printf '[run]\ngroup = true\nown-group = true\n' >groups.toml
timeout 60 "$SHMVISOR" run --config groups.toml -- true || fail "a file for several runs is refused"
for off in off false 0 no; do
  timeout 60 "$SHMVISOR" run --group=$off --own-group -- true || fail "--group=$off counts as --group"
  timeout 60 "$SHMVISOR" run --userns=$off --proc=off -- true || fail "--userns=$off counts as --userns"
done
SHMVISOR_USERNS=0 SHMVISOR_PROC=off timeout 60 "$SHMVISOR" run -- true || fail "SHMVISOR_USERNS=0 counts as --userns"
SHMVISOR_GROUP=0 timeout 60 "$SHMVISOR" run --own-group -- true || fail "SHMVISOR_GROUP=0 counts as --group"
printf '[run]\nown-group = true\n' >group.toml
timeout 60 "$SHMVISOR" run --config group.toml --group -- true || fail "a file's option is refused beside the command line's"
if unshare --user --map-root-user true 2>/dev/null; then
  SHMVISOR_PROC=off SHMVISOR_USERNS=1 timeout 60 "$SHMVISOR" run --private-ipc -- true || fail "--userns --private-ipc is refused"
else
  echo "not tried: no user namespaces here"
fi
hint "--own-group: it does nothing with group (groups.toml:2:1), which" run --config groups.toml --own-group -- touch ran
SHMVISOR_GROUP=1 hint "--own-group: it does nothing with SHMVISOR_GROUP, which" run --own-group -- touch ran
hint "--userns: it does nothing with --proc off" config show run --userns --proc=off
# From elsewhere they are for the runs that have an audit.
SHMVISOR_AUDIT_FORMAT=json timeout 60 "$SHMVISOR" run -- true || fail "a variable that does nothing here is refused"
printf '[run]\naudit-keep = 3\n' >keep.toml
timeout 60 "$SHMVISOR" run --config keep.toml -- true || fail "a file's option that does nothing here is refused"

heading "two options with one file"
export XDG_RUNTIME_DIR=$scratch
printf '[run]\ntrace = "calls"\n' >trace.toml
hint "--report: './calls' is the file of --trace" run --trace=calls --report=./calls -- touch ran
: >both
hint "--save-at-end: '$scratch/both' is the file of --config" run --config both --save-at-end "$scratch/both" -- touch ran
hint "--serve: 'x.sock' is the file of --control" run --control x.sock --serve x.sock -- touch ran
hint "--socket: './x.sock' is the file of --control" agent --control x.sock --socket ./x.sock
SHMVISOR_TRACE=calls hint "--report: 'calls' is the file of SHMVISOR_TRACE" run --report=calls -- touch ran
hint "--report: 'calls' is the file of --trace" config show run --trace=calls --report=calls
ln -s nothere link
hint "--report: 'nothere' is the file of --trace" run --trace=link --report=nothere -- touch ran
hint "--serve-group: 'a.sock' is the file of --socket" agent --socket a.sock --serve-group x=a.sock
hint "--serve-group: './g.sock' is given twice" agent --serve-group x=g.sock --serve-group y=./g.sock
hint ".join' is given twice" agent --serve-group g1 --serve-group g1
hint "/g1.join' is given twice" agent --serve-group g1 --serve-group x="$XDG_RUNTIME_DIR/shmvisor/g1.join"
hint "--serve-group: '../g' is no name" agent --serve-group ../g
# bad CONTENTS SENTENCE: of a file, with line and column.
bad() {
  printf '%b' "$1" >shared.toml
  timeout 60 "$SHMVISOR" config check shared.toml 2>err
  expect "status of config check" 1 $?
  expect "what is said" "$2" "$(cat err)"
}
bad '[run]\nshmmax = "1G"\n' "shared.toml:2:1: shmmax belongs in [limits]"
bad '[run]\ntrace = "calls"\nreport = "./calls"\n' "shared.toml:3:1: report: './calls' is the file of trace (shared.toml:2:1)"
bad '[agent]\nserve-group = ["g1", "g1"]\n' "shared.toml:2:1: serve-group: '$XDG_RUNTIME_DIR/shmvisor/g1.join' is given twice"
bad '[agent]\nsocket = "a.sock"\nserve-group = ["x=a.sock"]\n' \
  "shared.toml:3:1: serve-group: 'a.sock' is the file of socket (shared.toml:2:1)"
timeout 60 "$SHMVISOR" run --config shared.toml -- true 2>err && fail "a bad file is taken"
hint "--report: 'calls' is the file of trace (trace.toml:2:1)" run --config trace.toml --report=calls -- touch ran
timeout 60 "$SHMVISOR" run --trace=/dev/null --report=/dev/null -- true || fail "/dev/null is refused"

heading "variables that are misspelt"
# warns WANTED WORD...: with the variables that are set.
warns() {
  timeout 60 "$SHMVISOR" "${@:2}" >out 2>err </dev/null || fail "'${*:2}': status $?: $(cat err)"
  [ -n "$1" ] || { assert_silent err && return; }
  expect "lines of '${*:2}'" 1 "$(wc -l <err)"
  grep -qF -e "$1" err || fail "'${*:2}': no '$1' in: $(cat err)"
}
SHMVISOR_SHMMX=1M warns "SHMVISOR_SHMMX in the environment is no option's; did you mean SHMVISOR_SHMMAX?" run -- true
SHMVISOR_shmmax=1M warns "did you mean SHMVISOR_SHMMAX?" run -- true
SHMVISOR_SHMMX=1M warns "did you mean SHMVISOR_SHMMAX?" oci-profile
SHMVISOR_SOCKT=x warns "did you mean SHMVISOR_SOCKET?" run -- true
SHMVISOR_SHMMX=1M warns "" run --log-level=error -- true
SHMVISOR_SHMMX='' warns "" run -- true
SHMVISOR_SOCKET=x SHMVISOR_LISTEN=y SHMVISOR_HOUSE=z warns "" run -- true

heading "files that cannot be"
hint "--trace: '$scratch' is a directory" run --trace="$scratch" -- touch ran
hint "--report: '/' is a directory" run --report=/ -- touch ran
hint "--trace: cannot write './no/file': No such file or directory" run --trace=./no/file -- touch ran
hint "--report: cannot write 'err/file': Not a directory" run --report=err/file -- touch ran
SHMVISOR_TRACE=/ hint "'/' is a directory" run -- touch ran
[ ! -e ran ] || fail "a command ran in spite of it"
