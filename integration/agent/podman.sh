#!/bin/bash
# podman.sh SEGMENT: containers of podman whose profile names the agent, as root and as an ordinary user without any
# capability on a read-only root file system. SEGMENT is segment.c, linked statically.
# shellcheck disable=SC2086
. "$(dirname "$0")/../lib.sh" || exit 1
. "$(dirname "$0")/../podman.sh" || exit 1
. "$(dirname "$0")/lib.sh" || exit 1
need busybox busybox-static
need python3 python3
make_container_scratch
end_all() {
  podman_here rm --all --force --time 0 >/dev/null 2>&1
  kill -KILL "$agent" 2>/dev/null
  rm -rf --one-file-system "$scratch"
}

root=$scratch/root
mkdir -p "$root"/{bin,proc,dev,sys,tmp,etc,run} || fail mkdir
install -m 755 "$(command -v busybox)" "$1" "$root/bin/" || fail install
mv "$root/bin/$(basename "$1")" "$root/bin/segment" || fail mv
ln -s busybox "$root/bin/sh"
need_containers "$root"
start_agent --serve-group "podman=$scratch/group.join"
trap end_all EXIT

default_profile=/usr/share/containers/seccomp.json
[ -r $default_profile ] || fail "podman's own seccomp profile is not at $default_profile"
# profile FILE METADATA [OPTION...]
profile() { "$SHMVISOR" oci-profile --listener "$socket" --metadata "$2" "${@:3}" >"$1" || fail oci-profile; }
profile "$scratch/own.json" 'shmmax=1M'
profile "$scratch/merged.json" 'shmmax=1M' --merge $default_profile
profile "$scratch/group.json" 'group=podman' --merge $default_profile
/usr/bin/python3 "$(dirname "$0")/../containers/docker_profile.py" $default_profile >"$scratch/docker_s.json" ||
  fail docker_profile.py
profile "$scratch/docker.json" 'shmmax=1M' --merge "$scratch/docker_s.json"
# contained PROFILE [OPTION...] COMMAND...; options end at the first word that begins with a slash.
contained() {
  # shellcheck disable=SC2206
  local options=(--security-opt "seccomp=$1.json" $closed)
  shift
  while [[ $1 != /* ]]; do
    options+=("$1")
    shift
  done
  container "${options[@]}" --rootfs "$root" "$@" 2>"$scratch/log"
}
as_nobody='--user 1000 --cap-drop ALL --read-only --security-opt no-new-privileges'

# shellcheck disable=SC2016
session='
    /bin/segment limits
    /bin/segment hold 5 "of mine" & pid=$!
    until shown=$(/bin/segment show 5); do /bin/busybox sleep 0.05; done
    echo "$shown"
    kill $pid
    n=-1; while read -r line; do n=$((n+1)); done </proc/sysvipc/shm; echo "kernel segments: $n"'
for profile in own merged docker; do
  for options in '' "$as_nobody"; do
    heading "a container of its own with profile $profile${options:+ and $options}"
    expect "limits and a segment" "shmmax 1048576 shmmni 4096
held
of mine, mapped 2 times
kernel segments: 0" "$(contained "$scratch/$profile" $options /bin/sh -c "$session")"
  done
done
heading "what the merged profiles forbid"
# Docker'"'"'s is the stricter.
expect "unshare, with each profile" "merged: free, docker: refused" "$(
  for profile in merged docker; do
    contained "$scratch/$profile" /bin/busybox unshare -U /bin/busybox echo free >"$scratch/out" || echo refused >"$scratch/out"
    echo "$profile: $(cat "$scratch/out")"
  done | paste -sd , | sed 's/,/, /')"

heading "a group of two, a process that joins one of them, and a stranger"
contained "$scratch/group" --name "shmvisor-agent-$$" /bin/segment hold 5 'of the group' >"$scratch/held" &
wait_until 60 grep -qx held "$scratch/held" || fail "the first container: $(cat "$scratch/held")"
expect "another user in the group may not attach it" "shmat: EACCES" \
  "$(contained "$scratch/group" $as_nobody /bin/segment show 5)"
expect "another container of the group" "of the group, mapped 2 times" \
  "$(contained "$scratch/group" /bin/segment show 5)"
expect "podman exec" "of the group, mapped 2 times" \
  "$(podman_here exec "shmvisor-agent-$$" /bin/segment show 5)"
expect "a container that is not in it" "shmget: ENOENT" \
  "$(contained "$scratch/own" /bin/segment show 5)"
podman_here kill --signal KILL "shmvisor-agent-$$" >/dev/null || fail "podman kill"
not_running() { ! podman_here container exists "shmvisor-agent-$$"; }
wait_until 30 not_running || fail "the first container does not end"

heading "a command of the host, in the group of a container"
"$SHMVISOR" run --join "$scratch/group.join" -- "$root/bin/segment" hold 6 'of the host' >"$scratch/host" &
server=$!
wait_until 30 grep -qx held "$scratch/host" || fail "the command: $(cat "$scratch/host")"
expect "a container" "of the host, mapped 2 times" "$(contained "$scratch/group" /bin/segment show 6)"
expect "a container that is not in it" "shmget: ENOENT" "$(contained "$scratch/own" /bin/segment show 6)"
rm "$scratch/held"
contained "$scratch/group" --name "shmvisor-agent-$$-2" /bin/segment hold 7 'of a container' >"$scratch/held" &
wait_until 60 grep -qx held "$scratch/held" || fail "the container: $(cat "$scratch/held")"
expect "the other way round" "of a container, mapped 2 times" \
  "$(timeout --kill-after=10 60 "$SHMVISOR" run --join "$scratch/group.join" -- "$root/bin/segment" show 7)"
podman_here kill --signal KILL "shmvisor-agent-$$-2" >/dev/null || fail "podman kill"
kill "$server"
wait "$server"

stop_agent || fail "status $?"
assert_silent "$scratch/agent.log"
