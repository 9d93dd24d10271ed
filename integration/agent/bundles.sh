# Containers out of bundles, for the scripts that start some by crun or runc themselves: the first argument, and $runtime.
# Sourced first: it sources both lib.sh, and enters namespaces. Bundles have a busybox and $programs in /bin.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
. "$(dirname "$0")/lib.sh" || exit 1
make_scratch
runtime=$1
need "$runtime" "$runtime"
need busybox busybox-static
need python3 python3
here=$(dirname "$0")

# crun 1.8 does not know what to do with version 2 mounted inside of version 1.
! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified 2>/dev/null

oci() {
  local flags=()
  [ "$runtime" != crun ] || flags=(--cgroup-manager=cgroupfs)
  timeout --kill-after=10 60 "$runtime" --root "$scratch/state" "${flags[@]}" "$@" </dev/null
}
# our_profile [OPTION...]: the seccomp profile of containers that this agent serves.
our_profile() { "$SHMVISOR" oci-profile --listener "$socket" "$@"; }
# bundle NAME METADATA [OPTION...] -- COMMAND...
bundle() {
  our_profile ${2:+--metadata "$2"} >"$scratch/profile" || fail "oci-profile"
  bundle_of "$1" "${@:3}" <"$scratch/profile"
}
# bundle_of NAME [OPTION...] -- COMMAND...: the profile is standard input.
bundle_of() {
  local name=$1
  shift
  mkdir -p "$scratch/$name/rootfs"/{bin,proc,dev,sys} || fail mkdir
  cp "$(command -v busybox)" "${programs[@]}" "$scratch/$name/rootfs/bin/" || fail cp
  ln -sf busybox "$scratch/$name/rootfs/bin/sh"
  python3 "$here/make_bundle.py" "$scratch/$name" "$@" || fail make_bundle.py
}
# Container names are the machine's, because cgroups are. A pid would not do: other scripts have the same in their own
# pid namespaces, at the same time.
id_of() { echo "shmvisor-$runtime-${scratch##*.}-$1"; }
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

# start_agent_for_bundles [OPTION...]: an agent at rest; the script is skipped where no container starts.
start_agent_for_bundles() {
  start_agent "$@"
  remember_rest
  bundle probe '' -- /bin/sh -c 'echo started'
  run probe >"$scratch/probe.out"
  grep -qx started "$scratch/probe.out" || skip "no container starts here: $(tail -n 1 "$scratch/probe.err")"
  assert_silent "$scratch/agent.log"
}
