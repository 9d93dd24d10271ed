#!/bin/bash
# The environment equivalents of options: taken where the command line says nothing, refused with
# the variable's name where they are bad, and passed on to the command as they are.
. "$(dirname "$0")/../lib.sh"
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

for bad in SHMVISOR_SHMMAX=banana SHMVISOR_SHMALL=-1 SHMVISOR_SHMMNI=32769 SHMVISOR_LOG_LEVEL=loud \
  SHMVISOR_VERBOSE=x SHMVISOR_NO_LINGER=perhaps SHMVISOR_GROUP=sure SHMVISOR_WITHOUT=kcmp,banana; do
  env "$bad" timeout --kill-after=10 60 "$SHMVISOR" run -- touch ran >out 2>err </dev/null
  expect "$bad" 125 $?
  grep -q "${bad%%=*}" err || fail "$bad: not named: $(cat err)"
  [ ! -e ran ] || fail "$bad: the command ran"
done
assert_kernel_table_empty
