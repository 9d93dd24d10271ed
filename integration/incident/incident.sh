#!/bin/bash
# The incident that README tells: a program leaks segments, another one hits shmall, and an operator finds out which,
# how, and what to do, by the clients of the run alone.
. "$(dirname "$0")/../lib.sh" || exit 1
here=$(cd "$(dirname "$0")" && pwd)
/usr/bin/python3 -c 'import sysv_ipc' 2>/dev/null || need python3-module-sysv-ipc python3-sysv-ipc
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
export XDG_RUNTIME_DIR=$scratch

heading "a run in which 8 MiB leak, of 16"
# shellcheck disable=SC2016
"$SHMVISOR" run --name shop --shmall 4K -- bash -c '
  "$0/report-writer" 8 >written & echo $! >writer
  while [ ! -s written ]; do sleep 0.02; done
  "$0/connection-pool" >pool & echo $! >pool_pid; wait' "$here" 2>err &
run=$!
wait_until 60 test -s pool || fail "the pool has not begun: $(cat err)"

heading "which limit refused what, and whom"
timeout 60 "$SHMVISOR" events --name shop | grep -m 1 refusal >told || fail "no refusal is told"
cat told
grep -Eq 'command=connection-pool .*call=shmget errno=ENOSPC because="3072 pages beside 2048 of other segments are more than shmall, 4096"' told || fail "not as expected"

heading "who holds the memory"
"$SHMVISOR" ps --name shop | tee ps
grep -Eq "^$(cat writer) +root +8 +8388608 +0-7 +report-writer" ps || fail "report-writer is not shown"
"$SHMVISOR" graph --svg --name shop -o graph.svg && grep -q report-writer graph.svg || fail "no picture"

# A new picture for README.
[ -z "${SHMVISOR_PICTURE:-}" ] || cp graph.svg "$SHMVISOR_PICTURE"
heading "what nobody removed"
kill "$(cat writer)"
"$SHMVISOR" report --name shop | tee report
grep -Eq '^refused by: shmall [1-9]' report || fail "the report does not name shmall"
expect "segments left by report-writer" 8 "$(grep -c 'left: shmid .* made by process .* (report-writer)' report)"

heading "room again"
gone() { [ "$("$SHMVISOR" ls --name shop | grep -c ' 0  *$')" = 8 ]; }
wait_until 20 gone || fail "report-writer's segments stay attached: $("$SHMVISOR" ls --name shop)"
"$SHMVISOR" rm --orphans --name shop
wait_until 60 grep -q 'pool made' pool || fail "there is no room: $("$SHMVISOR" ls --name shop)"
"$SHMVISOR" ls --name shop | tee ls
expect "segments" 1 "$("$SHMVISOR" ls -q --name shop | wc -l)"
grep -q '^0x00005348 .* 12582912 ' ls || fail "the pool's segment is not shown"
kill "$(cat pool_pid)"
wait "$run"
assert_kernel_table_empty
