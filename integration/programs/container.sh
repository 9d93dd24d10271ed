#!/bin/bash
# container.sh UID:GID PROGRAM: shmvisor inside a container under the default seccomp profile of
# podman (that of docker, nearly): the tools and an oracle program, whose transcript is the native one.
. "$(dirname "$0")/../lib.sh"
container_user=$1
program=$2
need podman podman
need runc runc
need_root
[ -x "${SHMVISOR:?}" ] || fail "no program at SHMVISOR=$SHMVISOR"
make_scratch
root=$scratch/root

# A root file system out of this machine's files: the programs and what they are linked to.
mkdir -p "$root"/{proc,sys,dev,tmp,etc,usr/bin,usr/lib64,usr/lib,work}
chmod 1777 "$root/tmp" "$root/work"
ln -s usr/bin "$root/bin"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
install -m 755 "$SHMVISOR" "$root/usr/bin/shmvisor"
install -m 755 "$program" "$root/usr/bin/program"
for tool in bash cat ipcmk ipcrm sed id wc tail; do
  install -m 755 "$(command -v "$tool")" "$root/usr/bin/$tool"
done
ldd "$root"/usr/bin/* 2>/dev/null | grep -Eo '/[^ ]+ \(0x' | sed 's/ .*//' | sort -u | while read -r library; do
  mkdir -p "$root/$(dirname "${library#/}")"
  cp -L "$library" "$root/$(dirname "${library#/}")/"
done

# Storage of its own, so that nothing is left behind; no network, no limits that need more rights.
container() {
  local name=shmvisor-test-$$
  timeout --kill-after=10 120 podman --root "$scratch/storage" --runroot "$scratch/run" \
    --tmpdir "$scratch/tmp" --storage-driver vfs --runtime runc --cgroup-manager cgroupfs \
    run --rm --name "$name" --ulimit nofile=20000:20000 --ulimit nproc=30000:30000 --network none \
    --user "$container_user" "$@"
}

{ container --rootfs "$root" /bin/bash -c 'echo started' >"$scratch/probe" 2>"$scratch/log" &&
  grep -qx started "$scratch/probe"; } || skip "no container starts here: $(tail -n 1 "$scratch/log")"

container --rootfs "$root" /bin/program >"$scratch/native" 2>"$scratch/log" ||
  fail "the native run in the container ended with $?"

# In the container's own IPC namespace nothing can be made in the kernel's table.
container --sysctl kernel.shmmni=0 --rootfs "$root" /bin/bash -c '
  grep() { sed -n "/$1/p" "$2"; }
  grep Seccomp: /proc/self/status >&2
  shmvisor run -- program && tail -n +2 /proc/sysvipc/shm | wc -l' \
  >"$scratch/supervised" 2>"$scratch/log" || fail "the supervised run in the container ended with $?"
expect "the profile is in force" "Seccomp:	2" "$(sed -n 1p "$scratch/log")"
expect "standard error" "" "$(sed 1d "$scratch/log")"
expect "kernel's table" 0 "$(tail -n 1 "$scratch/supervised")"
sed -i '$d' "$scratch/supervised"
diff -u "$scratch/native" "$scratch/supervised" || fail "the transcripts differ"

container --sysctl kernel.shmmni=0 --rootfs "$root" shmvisor run -- /bin/bash -c '
  set -e
  made=$(ipcmk -M 100000)
  ipcrm -m "${made##* }"
  id -u' >"$scratch/out" 2>"$scratch/log" || fail "ipcmk and ipcrm ended with $?"
expect "user" "${container_user%:*}" "$(cat "$scratch/out")"
expect "standard error" "" "$(cat "$scratch/log")"
