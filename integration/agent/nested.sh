#!/bin/bash
# nested.sh crun|runc SEGMENT: a container that the agent serves, in which somebody starts `shmvisor run` as well: one
# filter of a chain can have a listener, and the command must not run without what it was promised.
. "$(dirname "$0")/bundles.sh" || exit 1
if readelf -lW "$SHMVISOR" 2>/dev/null | grep -qF INTERP; then skip "this build of shmvisor is not static"; fi
cp "$2" "$scratch/segment" && cp "$SHMVISOR" "$scratch/shmvisor" || fail cp
programs=("$scratch/segment" "$scratch/shmvisor")
start_agent_for_bundles

for options in '' '--proc=off'; do
  heading "shmvisor run $options"
  # shellcheck disable=SC2016
  bundle nested '' -- /bin/sh -c "/bin/shmvisor run $options -- /bin/busybox echo it runs; echo status \$?
    /bin/segment show 5"
  expect "the command is not run, and the agent serves on" "status 125
shmget: ENOENT" "$(run nested)"
  grep -q 'critical: already supervised: .* OCI listener' "$scratch/nested.err" ||
    fail "it does not say why: $(cat "$scratch/nested.err")"
done

heading "shmvisor check"
bundle check '' -- /bin/shmvisor check
run check >"$scratch/check.out" && fail "nothing is missing, it says: $(cat "$scratch/check.out")"
grep -q 'already supervised' "$scratch/check.out" || fail "$(cat "$scratch/check.out")"

assert_nothing_left
stop_agent || fail "status $?"
assert_silent "$scratch/agent.log"
assert_kernel_table_empty
