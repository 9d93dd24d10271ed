#!/bin/bash
# runtimes.sh crun|runc SEGMENT: real containers whose profile names the agent. SEGMENT is segment.c,
# linked statically.
. "$(dirname "$0")/../lib.sh"
runtime=$1
need "$runtime" "$runtime"
need busybox busybox-static
need python3 python3
enter_namespaces "$@"
. "$(dirname "$0")/lib.sh"
make_scratch
here=$(dirname "$0")

# crun 1.8 does not know what to do with version 2 mounted inside of version 1.
! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified 2>/dev/null

oci() {
  local flags=()
  [ "$runtime" != crun ] || flags=(--cgroup-manager=cgroupfs)
  timeout --kill-after=10 60 "$runtime" --root "$scratch/state" "${flags[@]}" "$@" </dev/null
}
# bundle NAME METADATA [OPTION...] -- COMMAND...
bundle() {
  local name=$1
  shift
  mkdir -p "$scratch/$name/rootfs"/{bin,proc,dev,sys} || fail mkdir
  cp "$(command -v busybox)" "$segment" "$scratch/$name/rootfs/bin/" || fail cp
  ln -sf busybox "$scratch/$name/rootfs/bin/sh"
  python3 "$here/make_bundle.py" "$scratch/$name" "$socket" "$@" || fail make_bundle.py
}
# Container names are the machine's, because cgroups are.
id_of() { echo "shmvisor-$runtime-$$-$1"; }
# run NAME: until it ends, what it prints.
run() { oci run --bundle "$scratch/$1" "$(id_of "$1")" 2>"$scratch/$1.err"; }
# hold NAME KEY TEXT: a container that stays, in the background, with a segment.
hold() {
  run "$1" >"$scratch/$1.out" &
  wait_until 60 grep -qx held "$scratch/$1.out" ||
    fail "container $1: $(cat "$scratch/$1.out" "$scratch/$1.err")"
}
end_container() {
  oci kill "$(id_of "$1")" KILL
  wait_until 30 not_running "$1" || fail "container $1 does not end"
  oci delete --force "$(id_of "$1")" 2>/dev/null
}
not_running() { ! oci state "$(id_of "$1")" 2>/dev/null | grep -q '"running"'; }
cleanup() {
  for left in $(oci list --quiet 2>/dev/null); do oci delete --force "$left"; done
  rm -rf --one-file-system "$scratch"
}
trap cleanup EXIT

segment=$scratch/segment
cp "$2" "$segment" || fail cp
start_agent
bundle probe '' -- /bin/sh -c 'echo started'
run probe >"$scratch/probe.out"
grep -qx started "$scratch/probe.out" || skip "no container starts here: $(tail -n 1 "$scratch/probe.err")"
assert_silent "$scratch/agent.log"
remember_rest

heading "a container, a process that joins it, and another container"
bundle one '' -- /bin/segment hold 5 'of one'
hold one
expect "exec" "of one, mapped 2 times" "$(oci exec "$(id_of one)" /bin/segment show 5)"
expect "exec again" "of one, mapped 2 times" "$(oci exec "$(id_of one)" /bin/segment show 5)"
bundle other '' -- /bin/segment show 5
expect "another container" "shmget: ENOENT" "$(run other)"
expect "the kernel's own table" 1 \
  "$(oci exec "$(id_of one)" /bin/busybox wc -l /proc/sysvipc/shm | cut -d' ' -f1)"

heading "a group"
bundle two 'group=pair' -- /bin/segment hold 5 'of two'
hold two
bundle three 'shmmni=4096,group=pair' -- /bin/segment show 5
expect "another container of the group" "of two, mapped 2 times" "$(run three)"
bundle four 'group=pairs' -- /bin/segment show 5
expect "a container of another group" "shmget: ENOENT" "$(run four)"

heading "limits"
bundle limited 'shmmax=64M,shmmni=16' -- /bin/segment limits
expect "limits from the metadata" "shmmax 67108864 shmmni 16" "$(run limited)"

heading "a profile without a rule"
bundle ruleless '' --no-rule -- /bin/segment hold 5 text
expect "its calls reach the kernel" "shmget: ENOSPC" "$(run ruleless)"

heading "a container that cannot start"
bundle broken '' -- /bin/there/is/no/such/program
run broken >/dev/null && fail "it started"
assert_silent "$scratch/agent.log"

heading "metadata that means nothing"
bundle misspelt 'shmax=64M' -- /bin/segment show 5
expect "it is not served" "shmget: ENOSYS" "$(run misspelt)"
grep -q "refused a message: container $(id_of misspelt): its metadata: nothing is called 'shmax'" \
  "$scratch/agent.log" || fail "the log does not say why"
expect "lines in the log" 1 "$(wc -l <"$scratch/agent.log")"

heading "both end"
end_container one
end_container two
assert_nothing_left

heading "the same id again is another container"
bundle one '' -- /bin/segment show 5
expect "no segment is left" "shmget: ENOENT" "$(run one)"

heading "the agent ends"
# shellcheck disable=SC2016
bundle last '' -- /bin/sh -c \
  '/bin/segment hold 5 text & until [ -e /go ]; do /bin/busybox sleep 0.05; done; /bin/segment show 5'
hold last
stop_agent || fail "status $?"
expect "what the agent says" "1 container loses service: their shared memory calls fail with ENOSYS" \
  "$(tail -n 1 "$scratch/agent.log" | sed 's/.*warning: //')"
touch "$scratch/last/rootfs/go"
wait_until 30 grep -qx 'shmget: ENOSYS' "$scratch/last.out" || fail "a call afterwards: $(cat "$scratch/last.out")"
not_running last || end_container last
