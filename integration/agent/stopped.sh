#!/bin/bash
# stopped.sh FAKE_RUNTIME STORM: whoever serves the calls is stopped and continued all the time, as by a debugger, a
# shell's job control or a frozen cgroup: no call gets an answer that it should not, and none is lost. STORM is
# oracle/storm.c.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
. "$(dirname "$0")/lib.sh" || exit 1
make_scratch
fake_runtime=$1
storm=$2
export STORM_ROUNDS=12
cd "$scratch" || fail cd

# stop_and_continue PID: as long as there is no file "over".
stop_and_continue() {
  local until=$((SECONDS + 100))
  while [ ! -e over ] && [ $SECONDS -lt $until ]; do
    kill -STOP "$1"
    kill -CONT "$1"
    sleep 0.001
  done
}
# expect_native WHAT: what is in the file of that name is what the program prints natively.
expect_native() { diff -u --label native --label "$1" native "$1" || fail "$1: the transcripts differ: $(cat err)"; }

timeout --kill-after=10 60 unshare --ipc "$storm" >native || fail "natively: status $?"

heading "the agent"
start_agent
stop_and_continue "$agent" &
stopper=$!
timeout --kill-after=10 120 "$fake_runtime" "$socket" one '' -- "$storm" >contained 2>err
expect "status" 0 $?
touch over
wait "$stopper"
expect_native contained
stop_agent || fail "status $?"
assert_silent "$scratch/agent.log"
rm over

heading "the supervisor of one command"
"$SHMVISOR" run --proc=off --log-level=error -- timeout --kill-after=10 120 "$storm" >supervised 2>err &
supervisor=$!
stop_and_continue "$supervisor" &
stopper=$!
wait "$supervisor"
expect "status" 0 $?
touch over
wait "$stopper"
expect_native supervised
assert_kernel_table_empty
