#!/bin/bash
# Exit statuses: the command's own, 128 + signal, 125, 126, 127.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd

# check STATUS DESCRIPTION COMMAND...: stderr is left in err.
check() {
  local wanted=$1 what=$2
  shift 2
  timeout --kill-after=10 60 "$@" >out 2>err </dev/null
  expect "$what" "$wanted" $?
}
silent() { assert_silent err; }
# A sentence on standard error.
explained() { [ -s err ] || fail "$1: no explanation"; }

for status in 0 1 2 77 125 126 127 128 130 255; do
  check "$status" "exit $status" "$SHMVISOR" run -- bash -c "exit $status"
  silent
done
for signal in HUP INT QUIT ILL ABRT KILL USR1 SEGV PIPE ALRM TERM RTMIN RTMAX; do
  number=$(kill -l "$signal")
  check $((128 + number)) "killed by SIG$signal" "$SHMVISOR" run -- \
    env --default-signal sh -c "ulimit -c 0; kill -$number \$\$"
  silent
done

check 127 "not found in PATH" "$SHMVISOR" run -- no-such-command-here
explained 127
check 127 "no such path" "$SHMVISOR" run -- /no/such/path
explained 127
: >plain_file
check 126 "not executable" "$SHMVISOR" run -- ./plain_file
explained 126
check 126 "a directory" "$SHMVISOR" run -- /tmp
explained 126
printf '#!/no/such/interpreter\n' >script
chmod 755 script
check 127 "no such interpreter" "$SHMVISOR" run -- ./script
explained "no interpreter"

check 125 "no command" "$SHMVISOR" run
explained "no command"
check 125 "unknown option" "$SHMVISOR" run --no-such-option -- true
explained "unknown option"
check 125 "unknown subcommand" "$SHMVISOR" no-such-subcommand
explained "unknown subcommand"
check 125 "no number" "$SHMVISOR" run --shmmax banana -- true
explained "no number"
check 125 "negative number" "$SHMVISOR" run --shmmni=-1 -- true
explained "negative number"
check 125 "unknown level" "$SHMVISOR" run --log-level banana -- true
explained "unknown level"
check 125 "unknown feature" "$SHMVISOR" run --without banana -- true
explained "unknown feature"

# Without a /proc, where a sanitizer's runtime would be lost, too.
if [ -z "${SHMVISOR_SANITIZED:-}" ]; then
  check 125 "no /proc" unshare --mount sh -c 'umount -l /proc && exec "$0" run -- true' "$SHMVISOR"
  grep -q "/proc is not mounted here, hidden, or another pid namespace's" err || fail "no /proc: $(cat err)"
fi

# With too few descriptors: an end with a reason at once, whatever is missing. A sanitizer's runtime wants some itself.
if [ -z "${SHMVISOR_SANITIZED:-}" ]; then
  for fd in {3..16}; do eval "exec $fd>&-"; done # whatever this script inherited
  for limit in {4..16}; do
    timeout --kill-after=10 60 bash -c 'ulimit -n $1 && exec "$0" run -- true' "$SHMVISOR" "$limit" >out 2>err </dev/null
    status=$?
    [ $status = 0 ] || { [ $status = 125 ] && [ -s err ]; } || fail "$limit descriptors: status $status, $(cat err)"
  done
  check 125 "an agent with four descriptors" bash -c 'ulimit -n 4 && exec timeout -k 5 20 "$0" agent --socket agent' "$SHMVISOR"
  explained "an agent with four descriptors"
fi

# One shmvisor inside another: a filter chain has one listener.
check 125 "inside itself" "$SHMVISOR" run -- "$SHMVISOR" run -- true
explained "inside itself"

check 0 "check" "$SHMVISOR" check
[ "$(wc -l <out)" -ge 5 ] || fail "check prints no table: $(cat out)"
assert_kernel_table_empty
