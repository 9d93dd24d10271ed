#!/bin/bash
# The environment equivalents of options: taken where the command line says nothing, refused with
# the variable's name where they are bad, and passed on to the command as they are.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
max=18446744073692774399

# prints WANTED VARIABLE=VALUE... -- ARG...: what `shmvisor run ARG...` prints.
prints() {
  local wanted=$1 variables=()
  shift
  while [ "$1" != -- ]; do
    variables+=("$1")
    shift
  done
  shift
  got=$(env "${variables[@]}" timeout --kill-after=10 60 "$SHMVISOR" run "$@" 2>err </dev/null) ||
    fail "${variables[*]}, $*: status $?: $(cat err)"
  expect "${variables[*]}, $*" "$wanted" "$got"
}
limits="$programs/command_print_limits 1 1"

# shellcheck disable=SC2086
{
  prints "shmmax 8192 shmall $max shmmni 4096 shmmin 1
made 1: all" SHMVISOR_SHMMAX=8K -- $limits
  prints "shmmax $max shmall 5 shmmni 7 shmmin 1
made 1: all" SHMVISOR_SHMALL=5 SHMVISOR_SHMMNI=7 -- $limits
  prints "shmmax 1048576 shmall $max shmmni 4096 shmmin 1
made 1: all" SHMVISOR_SHMMAX=8K -- --shmmax 1M -- $limits
  prints "shmmax $max shmall $max shmmni 4096 shmmin 1
made 1: all" SHMVISOR_SHMMAX= SHMVISOR_NO_LINGER= -- $limits
}
assert_silent err
prints 'Shared memory id: 0' SHMVISOR_LOG_LEVEL=debug -- ipcmk -M 1
[ -s err ] || fail "SHMVISOR_LOG_LEVEL=debug logs nothing"
prints 'Shared memory id: 0' SHMVISOR_VERBOSE=3 -- ipcmk -M 1
[ -s err ] || fail "SHMVISOR_VERBOSE=3 logs nothing"
prints 'Shared memory id: 0' SHMVISOR_WITHOUT=kcmp,sync-wake-up -- ipcmk -M 1
assert_silent err
prints '8K 1' SHMVISOR_SHMMAX=8K SHMVISOR_GROUP=1 -- bash -c 'echo "$SHMVISOR_SHMMAX $SHMVISOR_GROUP"'

# A daemon is left behind; whether shmvisor waits for it is for SHMVISOR_NO_LINGER to say.
lingers() {
  rm -f go
  SHMVISOR_NO_LINGER=$1 "$SHMVISOR" run -- bash -c \
    '( setsid bash -c "while [ ! -e go ]; do sleep 0.05; done" </dev/null >/dev/null 2>&1 & )' &
  shmvisor=$!
  ended() { ! kill -0 "$shmvisor" 2>/dev/null; }
  wait_until "$2" ended
  local answer=$?
  touch go
  wait "$shmvisor"
  return $answer
}
lingers on 30 || fail "SHMVISOR_NO_LINGER=on lingers"
! lingers off 1 || fail "SHMVISOR_NO_LINGER=off does not linger"

# The others, each by what it does.
prints 'made 100 attached 100' SHMVISOR_COMMIT=1 -- "$programs/command_page_counts" 100
prints 'made 0 attached 100' SHMVISOR_POPULATE=1 -- "$programs/command_page_counts" 100
prints 'made 0 attached 0' SHMVISOR_POPULATE=0 -- "$programs/command_page_counts" 100
prints 1 SHMVISOR_CLEANUP=rmid-forced -- cat /proc/sys/kernel/shm_rmid_forced
prints 0 SHMVISOR_CLEANUP=orphaned -- cat /proc/sys/kernel/shm_rmid_forced
group_of='read -r pid name state parent group rest </proc/self/stat; [ $group = $$ ] && echo own || echo shared'
prints shared SHMVISOR_OWN_GROUP= -- bash -c "$group_of"
prints own SHMVISOR_OWN_GROUP=1 -- bash -c "$group_of"
prints own SHMVISOR_GROUP=true -- bash -c "$group_of"
# shellcheck disable=SC2016
adopted='shmvisor=$PPID; ( ( while [ -d /proc/$$ ]; do sleep 0.05; done; read -r pid name state parent rest </proc/$BASHPID/stat
  [ $parent = $shmvisor ] && echo adopted || echo init ) & )'
prints adopted SHMVISOR_SUBREAPER=1 -- bash -c "$adopted"
prints init SHMVISOR_SUBREAPER=0 -- bash -c "$adopted"
kept='for one in $(cat /proc/$PPID/task/$PPID/children); do cat /proc/$one/comm; done | grep -c shmvisor-server || true'
prints 1 SHMVISOR_KEEPER=1 -- bash -c "$kept"
prints 0 SHMVISOR_KEEPER=0 -- bash -c "$kept"
death_signal='import ctypes; number = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(number)); print(number.value)'
prints 0 SHMVISOR_NO_KILL=1 -- python3 -c "$death_signal"
prints 9 SHMVISOR_NO_KILL= -- python3 -c "$death_signal"
# shellcheck disable=SC2016
SHMVISOR_DIE_WITH_PARENT=1 sh -c '"$0" run -- sh -c "echo started >started; exec sleep 1000" & wait' "$SHMVISOR" &
parent=$!
wait_until 30 test -s started || fail "SHMVISOR_DIE_WITH_PARENT: the command did not start"
kill -KILL "$parent"
wait "$parent" 2>/dev/null
nobody_sleeps() { ! pgrep -x sleep; }
wait_until 30 nobody_sleeps || fail "SHMVISOR_DIE_WITH_PARENT: the command lives on"
prints 'Shared memory id: 0' SHMVISOR_TRACER_WAIT=0 -- ipcmk -M 1
prints 0 SHMVISOR_PROC=off SHMVISOR_LOG_LEVEL=error -- cat /proc/sys/kernel/shmmni
if "$SHMVISOR" run --proc=hide -- true 2>err; then
  prints hidden SHMVISOR_PROC=hide -- bash -c '[ -e /proc/sysvipc/shm ] || echo hidden'
else
  echo "not tried, SHMVISOR_PROC=hide: $(cat err)"
fi
if "$SHMVISOR" run --userns -- true 2>err; then
  # shellcheck disable=SC2016
  prints other SHMVISOR_USERNS=1 -- bash -c '[ "$(readlink /proc/self/ns/user)" = "$0" ] || echo other' \
    "$(readlink /proc/self/ns/user)"
else
  echo "not tried, SHMVISOR_USERNS: $(cat err)"
fi
# shellcheck disable=SC2016
prints other SHMVISOR_PRIVATE_IPC=1 -- bash -c '[ "$(readlink /proc/self/ns/ipc)" = "$0" ] || echo other' \
  "$(readlink /proc/self/ns/ipc)"
rm -f go
SHMVISOR_SERVE=socket "$SHMVISOR" run -- bash -c 'ipcmk -M 4096 >made; while [ ! -e go ]; do sleep 0.05; done' &
server=$!
wait_until 30 test -s made || fail "SHMVISOR_SERVE: no segment"
joins() { "$@" timeout --kill-after=10 60 "$SHMVISOR" run "${join_options[@]}" -- ipcrm -m "$(sed 's/.* //' made)" >out 2>err; }
# What does not go with an option of the command line is not asked for; but the environment itself must be sound.
join_options=(--join socket)
joins env SHMVISOR_SERVE=socket SHMVISOR_SHMMAX=banana || fail "--join with SHMVISOR_SERVE: $(cat err)"
join_options=()
! joins env SHMVISOR_JOIN=socket || fail "SHMVISOR_JOIN: the segment is there a second time"
grep -q 'invalid id' err || fail "SHMVISOR_JOIN: $(cat err)"
! joins env SHMVISOR_JOIN=socket SHMVISOR_SHMMAX=1M || fail "SHMVISOR_JOIN goes with SHMVISOR_SHMMAX"
grep -q 'SHMVISOR_SHMMAX.*does not go with SHMVISOR_JOIN' err || fail "SHMVISOR_JOIN with SHMVISOR_SHMMAX: $(cat err)"
touch go
wait "$server" || fail "SHMVISOR_SERVE: status $?"
rm -f go made
SHMVISOR_JOIN_OR_SERVE=either "$SHMVISOR" run -- bash -c 'ipcmk -M 4096 >made; while [ ! -e go ]; do sleep 0.05; done' &
server=$!
wait_until 30 test -s made || fail "SHMVISOR_JOIN_OR_SERVE: no segment"
joins env SHMVISOR_JOIN_OR_SERVE=either || fail "SHMVISOR_JOIN_OR_SERVE does not join: $(cat err)"
touch go
wait "$server" || fail "SHMVISOR_JOIN_OR_SERVE: status $?"
SHMVISOR_SERVE_GROUP=open=$scratch/open SHMVISOR_SOCKET=$scratch/agent "$SHMVISOR" agent 2>err &
agent=$!
wait_until 30 test -S agent || fail "SHMVISOR_SOCKET: no socket: $(cat err)"
prints 'Shared memory id: 0' SHMVISOR_JOIN="$scratch/open" -- ipcmk -M 1
kill -TERM "$agent"
wait "$agent" || fail "the agent: status $?"
SHMVISOR_SHMMAX=banana SHMVISOR_SOCKET=$scratch/agent "$SHMVISOR" agent 2>err
expect "SHMVISOR_SHMMAX of the agent" 125 $?

printf '[limits]\nshmmax = "8K"\nshmall = 9\n' >config.toml
# shellcheck disable=SC2086
prints "shmmax 8192 shmall 9 shmmni 5 shmmin 1
made 1: all" SHMVISOR_CONFIG=config.toml SHMVISOR_SHMMNI=5 -- $limits
SHMVISOR_CONTROL=$scratch/control timeout --kill-after=10 60 "$SHMVISOR" run -- "$SHMVISOR" ls --control "$scratch/control" \
  >out 2>err || fail "SHMVISOR_CONTROL: $(cat err)"
XDG_RUNTIME_DIR=$scratch SHMVISOR_NAME=named timeout --kill-after=10 60 "$SHMVISOR" run -- "$SHMVISOR" ls --name named \
  >out 2>err || fail "SHMVISOR_NAME: $(cat err)"
SHMVISOR_TRACE=$scratch/trace SHMVISOR_REPORT=$scratch/report timeout --kill-after=10 60 "$SHMVISOR" run -- ipcmk -M 4096 \
  >out 2>err || fail "SHMVISOR_TRACE: $(cat err)"
grep -q 'shmget(.* 4096, ' trace || fail "SHMVISOR_TRACE: $(cat trace)"
grep -q 'shmget  *1 ' report || fail "SHMVISOR_REPORT: $(cat report)"

SHMVISOR_SAVE_AT_END=saved timeout --kill-after=10 60 "$SHMVISOR" run -- ipcmk -M 4096 >out 2>err || fail "SHMVISOR_SAVE_AT_END: $(cat err)"
prints 'Shared memory id: 1' SHMVISOR_RESTORE=saved -- ipcmk -M 4096

SHMVISOR_AUDIT=./audit SHMVISOR_AUDIT_FORMAT=json SHMVISOR_AUDIT_SIZE=1K SHMVISOR_AUDIT_KEEP=1 timeout --kill-after=10 60 \
  "$SHMVISOR" run --shmmax 1K -- bash -c 'for _ in {1..9}; do ipcmk -M 4096; done; true' >out 2>err ||
  fail "SHMVISOR_AUDIT: $(cat err)"
grep -q '"event":"refusal"' audit.1 || fail "SHMVISOR_AUDIT_SIZE: $(cat audit)"
[ ! -e audit.2 ] || fail "SHMVISOR_AUDIT_KEEP: $(ls)"
grep -q '"event":"stop"' audit || fail "SHMVISOR_AUDIT: $(cat audit)"

# No option is left out here.
for subcommand in run agent check; do
  for option in $("$SHMVISOR" "$subcommand" --help | grep -oE '^  (-., )?--[a-z-]+' | sed 's/.*--//'); do
    variable=SHMVISOR_$(tr 'a-z-' 'A-Z_' <<<"$option")
    [ "$option" = help ] || grep -q "$variable=" "$0" || fail "$subcommand --$option: $variable is not tested"
  done
done

for bad in SHMVISOR_SHMMAX=banana SHMVISOR_SHMALL=-1 SHMVISOR_SHMMNI=32769 SHMVISOR_LOG_LEVEL=loud \
  SHMVISOR_VERBOSE=x SHMVISOR_NO_LINGER=perhaps SHMVISOR_GROUP=sure SHMVISOR_WITHOUT=kcmp,banana \
  SHMVISOR_PROC=none SHMVISOR_USERNS=maybe SHMVISOR_COMMIT=10x SHMVISOR_POPULATE=maybe SHMVISOR_OWN_GROUP=own \
  SHMVISOR_NO_KILL=perhaps SHMVISOR_KEEPER=perhaps SHMVISOR_DIE_WITH_PARENT=maybe SHMVISOR_SUBREAPER=sure \
  SHMVISOR_TRACER_WAIT=long SHMVISOR_SAVE_AT_END=no/folder SHMVISOR_AUDIT=banana SHMVISOR_AUDIT_FORMAT=xml SHMVISOR_AUDIT_SIZE=0 SHMVISOR_AUDIT_KEEP=-1; do
  env "$bad" timeout --kill-after=10 60 "$SHMVISOR" run -- touch ran >out 2>err </dev/null
  expect "$bad" 125 $?
  grep -q "${bad%%=*}" err || fail "$bad: not named: $(cat err)"
  [ ! -e ran ] || fail "$bad: the command ran"
done
assert_kernel_table_empty
