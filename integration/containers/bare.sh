#!/bin/bash
# bare.sh crun|runc: an image with nothing in it but the static binary and a static program, run by the runtime itself:
# no /etc, /tmp or shell, an empty /dev, no environment, no rights; only /proc.
. "$(dirname "$0")/../lib.sh" || exit 1
runtime=$1
need "$runtime" "$runtime"
need musl-gcc musl-tools
[ -x "${SHMVISOR_STATIC:?path of the static binary}" ] || fail "no program at SHMVISOR_STATIC=$SHMVISOR_STATIC"
portable=$(realpath "$(dirname "$0")/portable.c")
enter_namespaces "$@"
make_scratch
# crun 1.8 does not know what to do with version 2 mounted inside of version 1.
! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified 2>/dev/null
flags=()
[ "$runtime" != crun ] || flags=(--cgroup-manager=cgroupfs)
# Container names are the machine's, because cgroups are.
id=shmvisor-bare-$runtime-$$-$RANDOM
oci() { timeout --kill-after=10 60 "$runtime" --root "$scratch/state" "${flags[@]}" "$@" </dev/null; }
trap 'oci delete --force "$id" >/dev/null 2>&1; rm -rf --one-file-system "$scratch"' EXIT

mkdir -p "$scratch"/bundle/rootfs/{proc,dev} || fail mkdir  # crun wants to look into /dev
install -m 755 "$SHMVISOR_STATIC" "$scratch/bundle/rootfs/shmvisor" || fail install
musl-gcc -D_GNU_SOURCE -O1 -static -o "$scratch/bundle/rootfs/portable" "$portable" || fail "musl-gcc -static"
# bundle ARGUMENT...
bundle() {
  local arguments
  arguments=$(printf ',"%s"' "$@")
  cat >"$scratch/bundle/config.json" <<END
{"ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": true},
 "process": {"user": {"uid": 1000, "gid": 1000}, "cwd": "/", "env": [], "noNewPrivileges": true, "capabilities": {},
  "args": [${arguments#,}]},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
 "linux": {$sysctl "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "mount"}, {"type": "network"}],
  "maskedPaths": ["/proc/kcore", "/proc/keys"], "readonlyPaths": ["/proc/sys"]}}
END
}

sysctl=
bundle /portable
oci run --bundle "$scratch/bundle" "$id" >"$scratch/native" 2>"$scratch/log" ||
  skip "no container starts here: $(tail -n 1 "$scratch/log")"
# Whatever reaches the kernel's own table fails.
sysctl='"sysctl": {"kernel.shmmni": "0"},'
bundle /portable
oci run --bundle "$scratch/bundle" "$id" >"$scratch/out" 2>"$scratch/log" && fail "the kernel's table is open"
bundle /shmvisor run -- /portable
oci run --bundle "$scratch/bundle" "$id" >"$scratch/out" 2>"$scratch/log" || fail "status $?"
diff -u "$scratch/native" "$scratch/out" || fail "the program says something else"
assert_silent "$scratch/log"
bundle /shmvisor run -- /nothing
oci run --bundle "$scratch/bundle" "$id" >"$scratch/out" 2>"$scratch/log"
expect "a command that is not there" 127 $?
grep -q "cannot run '/nothing'" "$scratch/log" || fail "127 is not explained"
