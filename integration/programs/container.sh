#!/bin/bash
# container.sh UID:GID PROGRAM: shmvisor inside a container under the default seccomp profile of
# podman (that of docker, nearly): the tools and an oracle program, whose transcript is the native one.
. "$(dirname "$0")/../lib.sh" || exit 1
. "$(dirname "$0")/../podman.sh" || exit 1
container_user=$1
program=$2
[ -x "${SHMVISOR:?}" ] || fail "no program at SHMVISOR=$SHMVISOR"
make_container_scratch
root=$scratch/root
install -m 755 "$program" "$scratch/program" || fail install
machine_root "$root" "$SHMVISOR" "$scratch/program" /bin/{bash,cat,sed} /usr/bin/{ipcmk,ipcrm,id,wc,tail}
mkdir -m 1777 "$root/work"
need_containers "$root"

in_container() { container --user "$container_user" "$@"; }

in_container --rootfs "$root" /bin/program >"$scratch/native" 2>"$scratch/log" ||
  fail "the native run in the container ended with $?"

# In the container's own IPC namespace nothing can be made in the kernel's table.
in_container --sysctl kernel.shmmni=0 --rootfs "$root" /bin/bash -c '
  grep() { sed -n "/$1/p" "$2"; }
  grep Seccomp: /proc/self/status >&2
  shmvisor run -- program && tail -n +2 /proc/sysvipc/shm | wc -l' \
  >"$scratch/supervised" 2>"$scratch/log" || fail "the supervised run in the container ended with $?"
expect "the profile is in force" "Seccomp:	2" "$(sed -n 1p "$scratch/log")"
expect "standard error" "" "$(sed 1d "$scratch/log")"
expect "kernel's table" 0 "$(tail -n 1 "$scratch/supervised")"
sed -i '$d' "$scratch/supervised"
diff -u "$scratch/native" "$scratch/supervised" || fail "the transcripts differ"

in_container --sysctl kernel.shmmni=0 --rootfs "$root" shmvisor run -- /bin/bash -c '
  set -e
  made=$(ipcmk -M 100000)
  ipcrm -m "${made##* }"
  id -u' >"$scratch/out" 2>"$scratch/log" || fail "ipcmk and ipcrm ended with $?"
expect "user" "${container_user%:*}" "$(cat "$scratch/out")"
expect "standard error" "" "$(cat "$scratch/log")"
