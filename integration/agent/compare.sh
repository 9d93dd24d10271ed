#!/bin/bash
# compare.sh FAKE_RUNTIME PROGRAM...: the transcript of each oracle program on the kernel's own shm beside its
# transcript in a container that the agent serves, all of them by one agent.
. "$(dirname "$0")/../lib.sh" || exit 1
[ $# -ge 2 ] || fail "usage: compare.sh FAKE_RUNTIME PROGRAM..."
enter_namespaces "$@"
. "$(dirname "$0")/lib.sh" || exit 1
make_scratch
fake_runtime=$1
shift
bound=${bound_seconds:-60}

start_agent
remember_rest
for program in "$@"; do
  name=$(basename "$program")
  heading "$name"
  mkdir "$scratch/$name" && cd "$scratch/$name" || fail cd
  # The native run has the kernel's default limits, in yet another namespace.
  timeout --kill-after=10 "$bound" unshare --ipc "$program" >native 2>native.err
  tail -n 1 native | grep -qx end || fail "the native run did not reach its end"
  timeout --kill-after=10 "$((2 * bound))" "$fake_runtime" "$socket" "$name" '' -- "$program" \
    >contained 2>contained.err
  expect "exit status" 0 $?
  diff -u --label native --label contained native contained || fail "the transcripts differ: $(cat contained.err)"
  expect "standard error" "$(cat native.err)" "$(cat contained.err)"
done
cd / || fail cd
assert_nothing_left
stop_agent || fail "status $?"
assert_silent "$scratch/agent.log"
assert_kernel_table_empty
