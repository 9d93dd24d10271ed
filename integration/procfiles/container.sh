#!/bin/bash
# Inside a container of podman: without CAP_SYS_ADMIN the kernel's files stay, and nothing is said
# unless it was asked for; with it and /dev/fuse they are ours.
# shellcheck disable=SC2016
. "$(dirname "$0")/../lib.sh"
need podman podman
need runc runc
need_root
[ -x "${SHMVISOR:?}" ] || fail "no program at SHMVISOR=$SHMVISOR"
make_scratch
root=$scratch/root

# A root file system out of this machine's files: the programs and what they are linked to.
mkdir -p "$root"/{proc,sys,dev,tmp,etc,usr/bin,usr/lib64,usr/lib}
chmod 1777 "$root/tmp"
ln -s usr/bin "$root/bin"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
install -m 755 "$SHMVISOR" "$root/usr/bin/shmvisor"
for tool in bash cat ipcmk ipcs grep wc; do
  install -m 755 "$(command -v "$tool")" "$root/usr/bin/$tool"
done
ldd "$root"/usr/bin/* 2>/dev/null | grep -Eo '/[^ ]+ \(0x' | sed 's/ .*//' | sort -u | while read -r library; do
  mkdir -p "$root/$(dirname "${library#/}")"
  cp -L "$library" "$root/$(dirname "${library#/}")/"
done

container() {
  timeout --kill-after=10 120 podman --root "$scratch/storage" --runroot "$scratch/run" \
    --tmpdir "$scratch/tmp" --storage-driver vfs --runtime runc --cgroup-manager cgroupfs \
    run --rm --name "shmvisor-procfiles-$$" --ulimit nofile=20000:20000 --ulimit nproc=30000:30000 --network none \
    --sysctl kernel.shmmni=0 "$@"
}
{ container --rootfs "$root" /bin/bash -c 'echo started' >"$scratch/probe" 2>"$scratch/log" &&
  grep -qx started "$scratch/probe"; } || skip "no container starts here: $(tail -n 1 "$scratch/log")"

look='ipcmk -M 5000 >/dev/null && echo $(grep -c " 5000 " /proc/sysvipc/shm) $(ipcs -m | grep -c " 5000 ") $(cat /proc/sys/kernel/shmmni)'

# look WANTED OPTIONS_OF_PODMAN OPTIONS_OF_SHMVISOR
look() {
  # shellcheck disable=SC2086
  container $2 --rootfs "$root" shmvisor run $3 -- bash -c "$look" >"$scratch/out" 2>"$scratch/log" ||
    fail "podman run $2, shmvisor run $3: status $?"
  expect "podman run $2, shmvisor run $3" "$1" "$(cat "$scratch/out")"
  assert_silent "$scratch/log"
}

heading 'the default: no CAP_SYS_ADMIN'
look '0 0 0' '' ''
look '0 0 0' '--user 1000:1000' ''
look '0 0 0' '--device /dev/fuse' ''
for mode in fuse hide; do
  container --rootfs "$root" shmvisor run --proc=$mode -- bash -c : >"$scratch/out" 2>"$scratch/log"
  expect "--proc=$mode: status" 125 $?
  grep -q -e '--proc=off' "$scratch/log" || fail "--proc=$mode: no advice"
done

heading 'CAP_SYS_ADMIN and /dev/fuse'
container --cap-add SYS_ADMIN --device /dev/fuse --rootfs "$root" shmvisor run --proc=fuse -- bash -c : 2>"$scratch/log" || {
  echo "not compared: $(tail -n 1 "$scratch/log")"
  exit 0
}
look '1 1 4096' '--cap-add SYS_ADMIN --device /dev/fuse' ''
look '0 0 0' '--cap-add SYS_ADMIN' ''
