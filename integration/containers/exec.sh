#!/bin/bash
# exec.sh SEGMENT: a process that podman brings into a container from outside has the kernel's own table, and with
# --join the segments of the command; as an ordinary user without any capability, and as root. SEGMENT is
# agent/segment.c, linked statically.
. "$(dirname "$0")/lib.sh" || exit 1
make_container_scratch
root=$scratch/root
new_root "$root"
install -m 755 "$1" "$root/bin/segment" || fail install
need_containers "$root"
name=shmvisor-exec-$$
inside() { podman_here exec "$@" 2>"$scratch/log"; }

for rights in '--user 1000 --cap-drop ALL --read-only --security-opt no-new-privileges' '--cap-drop ALL' ''; do
  heading "podman run $rights"
  # shellcheck disable=SC2086
  podman_here run --detach --name "$name" "${run_options[@]}" $closed $rights --env SHMVISOR_SERVE=/tmp/socket \
    --rootfs "$root" /shmvisor run --shmmax 1M -- /bin/segment hold 5 'of the command' >"$scratch/log" 2>&1 || fail "podman run"
  held() { podman_here logs "$name" | grep -qx held; }
  wait_until 60 held || fail "the command did not start: $(podman_here logs "$name" 2>&1)"
  expect "podman exec" 'shmget: ENOENT' "$(inside "$name" /bin/segment show 5)"
  # The variable of the command is that of whoever comes in, too: --join wins.
  expect "podman exec with --join" 'of the command, mapped 2 times' \
    "$(inside "$name" /shmvisor run --join /tmp/socket -- /bin/segment show 5)"
  expect "its limits" 'shmmax 1048576 shmmni 4096' \
    "$(inside "$name" /shmvisor run --join /tmp/socket -- /bin/segment limits)"
  assert_silent "$scratch/log"
  expect "the kernel's own table" 1 "$(inside "$name" /bin/busybox wc -l /proc/sysvipc/shm | cut -d' ' -f1)"
  if [[ $rights == --user* ]]; then
    inside --user 2000 "$name" /shmvisor run --join /tmp/socket -- /bin/segment show 5 >"$scratch/out"
    expect "status of another user" 125 $?
    grep -q "may not connect to '/tmp/socket'" "$scratch/log" || fail "another user: $(cat "$scratch/log")"
  fi
  podman_here rm --force --time 0 "$name" >"$scratch/log" 2>&1 || fail "podman rm"
done
