#!/bin/bash
# runtimes.sh crun|runc SEGMENT: real containers whose profile names the agent. SEGMENT is segment.c,
# linked statically.
. "$(dirname "$0")/bundles.sh" || exit 1

segment=$scratch/segment
cp "$2" "$segment" || fail cp
programs=("$segment")
start_agent_for_bundles

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

heading "a container with the machine's pid namespace"
bundle hostpid '' --host-pid -- /bin/segment hold 5 'of hostpid'
hold hostpid
expect "exec" "of hostpid, mapped 2 times" "$(oci exec "$(id_of hostpid)" /bin/segment show 5)"
expect "the first container" "of one, mapped 2 times" "$(oci exec "$(id_of one)" /bin/segment show 5)"
end_container hostpid

heading "a container with a user namespace"
bundle mapped '' --userns -- /bin/segment hold 5 'of mapped'
chown -R 100000:100000 "$scratch/mapped/rootfs"
chmod 711 "$scratch" "$scratch/mapped"
hold mapped
expect "exec" "of mapped, mapped 2 times" "$(oci exec "$(id_of mapped)" /bin/segment show 5)"
end_container mapped

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
bundle misspelt '' --metadata 'shmax=64M' -- /bin/segment show 5
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
expect "what the agent says" "1 container loses service: its shared memory calls fail with ENOSYS" \
  "$(tail -n 1 "$scratch/agent.log" | sed 's/.*warning: //')"
touch "$scratch/last/rootfs/go"
wait_until 30 grep -qx 'shmget: ENOSYS' "$scratch/last.out" || fail "a call afterwards: $(cat "$scratch/last.out")"
not_running last || end_container last
