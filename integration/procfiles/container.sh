#!/bin/bash
# Inside a container of podman: without CAP_SYS_ADMIN the kernel's files stay, and nothing is said
# unless it was asked for; with it and /dev/fuse they are ours.
# shellcheck disable=SC2016
. "$(dirname "$0")/../lib.sh" || exit 1
. "$(dirname "$0")/../podman.sh" || exit 1
[ -x "${SHMVISOR:?}" ] || fail "no program at SHMVISOR=$SHMVISOR"
make_container_scratch
root=$scratch/root
machine_root "$root" "$SHMVISOR" /bin/{bash,cat,grep} /usr/bin/{ipcmk,ipcs,wc}
need_containers "$root"

look='ipcmk -M 5000 >/dev/null && echo $(grep -c " 5000 " /proc/sysvipc/shm) $(ipcs -m | grep -c " 5000 ") $(cat /proc/sys/kernel/shmmni)'

# look WANTED OPTIONS_OF_PODMAN OPTIONS_OF_SHMVISOR
look() {
  # shellcheck disable=SC2086
  container $closed $2 --rootfs "$root" shmvisor run $3 -- bash -c "$look" >"$scratch/out" 2>"$scratch/log" ||
    fail "podman run $2, shmvisor run $3: status $?"
  expect "podman run $2, shmvisor run $3" "$1" "$(cat "$scratch/out")"
  assert_silent "$scratch/log"
}

heading 'the default: no CAP_SYS_ADMIN'
look '0 0 0' '' ''
look '0 0 0' '--user 1000:1000' ''
look '0 0 0' '--device /dev/fuse' ''
for mode in fuse hide; do
  container $closed --rootfs "$root" shmvisor run --proc=$mode -- bash -c : >"$scratch/out" 2>"$scratch/log"
  expect "--proc=$mode: status" 125 $?
  grep -q -e '--proc=off' "$scratch/log" || fail "--proc=$mode: no advice"
done

heading 'CAP_SYS_ADMIN and /dev/fuse'
container $closed --cap-add SYS_ADMIN --device /dev/fuse --rootfs "$root" shmvisor run --proc=fuse -- bash -c : 2>"$scratch/log" || {
  echo "not compared: $(tail -n 1 "$scratch/log")"
  exit 0
}
look '1 1 4096' '--cap-add SYS_ADMIN --device /dev/fuse' ''
look '0 0 0' '--cap-add SYS_ADMIN' ''
