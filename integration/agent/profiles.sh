#!/bin/bash
# profiles.sh crun|runc SEGMENT IPC_CALLS: containers under the profiles that `shmvisor oci-profile` prints, with
# programs for x86-64 (segment.c) and for i386 (ipc_calls.c), both linked statically.
. "$(dirname "$0")/bundles.sh" || exit 1
default_profile=/usr/share/containers/seccomp.json
[ -r $default_profile ] || skip "podman's seccomp profile is missing (Debian package golang-github-containers-common)"
cp "$2" "$scratch/segment" && cp "$3" "$scratch/ipc_calls" || fail cp
programs=("$scratch/segment" "$scratch/ipc_calls")
start_agent_for_bundles

# shellcheck disable=SC2016
session='/bin/segment hold 5 "of mine" & pid=$!
  until shown=$(/bin/segment show 5); do /bin/busybox sleep 0.05; done
  echo "$shown"
  kill $pid'
timeout --kill-after=10 60 unshare --ipc "$scratch/ipc_calls" >"$scratch/native" || fail "the native run: $?"

# assert_i386_served NAME: the i386 program in container NAME; what it prints is what it prints on the kernel's own.
# In the container the kernel has no shared memory, but its semaphores and messages.
assert_i386_served() {
  run "$1" >"$scratch/$1.out" || fail "status $?: $(cat "$scratch/$1.err")"
  diff -u --label native --label contained "$scratch/native" "$scratch/$1.out" || fail "the transcripts differ"
}

heading "the profile as it is printed, a program for i386"
bundle printed '' -- /bin/ipc_calls
assert_i386_served printed

heading "for x86-64 alone: an i386 call is the end of its caller"
our_profile --arch x86_64 >"$scratch/profile" || fail oci-profile
bundle_of native_only -- /bin/sh -c "$session; /bin/ipc_calls; echo \$?" <"$scratch/profile"
expect "an x86-64 program, then one for i386" "held
of mine, mapped 2 times
$((128 + $(kill -l SYS)))" "$(run native_only)"

if [ "$runtime" = crun ]; then
  heading "flags"
  flags=SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,SECCOMP_FILTER_FLAG_SPEC_ALLOW,SECCOMP_FILTER_FLAG_LOG
  our_profile --flags $flags >"$scratch/profile" || fail oci-profile
  bundle_of flags -- /bin/sh -c "$session" <"$scratch/profile"
  expect "they change nothing that is seen" "held
of mine, mapped 2 times" "$(run flags)"

  heading "a profile without listenerPath, and crun's annotation"
  our_profile >"$scratch/profile" || fail oci-profile
  bundle_of annotated --receiver "$socket" -- /bin/sh -c "$session" <"$scratch/profile"
  expect "it is the same" "held
of mine, mapped 2 times" "$(run annotated)"
fi

# What kubelet has a container started with, from a localhost profile of the node.
heading "merged into a profile that allows what is listed"
/usr/bin/python3 "$here/localhost_profile.py" $default_profile >"$scratch/listed.json" || fail localhost_profile.py
our_profile --merge "$scratch/listed.json" >"$scratch/profile" || fail oci-profile
our_profile --merge "$scratch/profile" | cmp - "$scratch/profile" || fail "merged twice it is another"
bundle_of listed -- /bin/sh -c "$session; /bin/busybox mount -t tmpfs none /proc 2>/dev/null || echo no mount" \
  <"$scratch/profile"
expect "x86-64, and what the profile refuses" "held
of mine, mapped 2 times
no mount" "$(run listed)"
bundle_of listed_i386 -- /bin/ipc_calls <"$scratch/profile"
assert_i386_served listed_i386

heading "merged into a whole config.json"
our_profile --merge "$scratch/listed/config.json" | cmp - <(python3 -m json.tool --indent 2 "$scratch/listed/config.json") ||
  fail "a configuration that has our profile became another"

assert_nothing_left
stop_agent || fail "status $?"
assert_silent "$scratch/agent.log"
assert_kernel_table_empty
