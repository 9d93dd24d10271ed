#!/bin/bash
# signals.sh SIGNAL_LOG: PID 1 of a container passes on every signal but those that it should not, is not ended by them,
# reaps many orphans, and ends with its command however that ends. SIGNAL_LOG is command/signal_log.c, linked statically.
. "$(dirname "$0")/lib.sh" || exit 1
make_container_scratch
root=$scratch/root
new_root "$root"
install -m 755 "$1" "$root/bin/signal_log" || fail install
need musl-gcc musl-tools
musl-gcc -D_GNU_SOURCE -O1 -static -o "$root/bin/portable" "$(dirname "$0")/portable.c" || fail "musl-gcc -static"
need_containers "$root"
name=shmvisor-signals-$$
weakest='--user 1000 --cap-drop ALL --read-only --security-opt no-new-privileges'

# start COMMAND...: as the entrypoint, in the background.
start() {
  # shellcheck disable=SC2086
  podman_here run --detach --name "$name" "${run_options[@]}" $closed $weakest --rootfs "$root" /shmvisor run -- "$@" \
    >"$scratch/log" 2>&1 || fail "podman run"
}
logged() { podman_here logs "$name" 2>&1 | grep -qx "$1"; }
# ends_with STATUS WHAT
ends_with() {
  expect "$2" "$1" "$(podman_here wait "$name")"
  podman_here rm "$name" >"$scratch/log" 2>&1 || fail "podman rm"
}

heading "signals"
start /bin/signal_log
wait_until 60 logged ready || fail "the command did not start"
passed_on='1 2 3 4 5 6 7 8 10 11 13 14 15 16 18 20 23 24 25 26 27 28 29 30 31 34 50 64'
# Of a process's own use of the terminal.
kept='21 22'
for signal in $kept $passed_on; do
  podman_here kill --signal "$signal" "$name" >"$scratch/log" 2>&1 || fail "signal $signal: podman kill"
done
for signal in $passed_on; do
  wait_until 60 logged "signal $signal" || fail "signal $signal did not come"
done
podman_here kill --signal USR2 "$name" >"$scratch/log" 2>&1 || fail "podman kill"
podman_here wait "$name" >/dev/null
expect "what came" "$(printf 'signal %s\n' $passed_on 12 | sort)" "$(podman_here logs "$name" 2>&1 | grep -vx ready | sort)"
ends_with 42 "status after SIGUSR2"

heading "a command that does not end"
start /bin/sh -c 'trap "" TERM; echo ready; while :; do /bin/busybox sleep 1; done'
wait_until 60 logged ready || fail "the command did not start"
podman_here stop --time 1 "$name" >"$scratch/log" 2>&1 || fail "podman stop"
ends_with 137 "status after SIGKILL"

heading "a command that is killed"
start /bin/sh -c 'echo ready; exec /bin/busybox sleep 1000'
wait_until 60 logged ready || fail "the command did not start"
podman_here exec --user 1000 "$name" /bin/busybox killall -KILL busybox sleep >"$scratch/log" 2>&1
ends_with 137 "status of a killed command"

heading "many orphans, each with a segment"
cat >"$root/bin/orphans" <<'END'
for i in $(/bin/busybox seq 200); do
  ( ( /bin/portable >/dev/null || echo failed; exit 3 ) & )
done
for try in $(/bin/busybox seq 600); do
  processes=0
  for stat in /proc/[0-9]*/stat; do
    # But for the one that tells signals for the group from others.
    read -r pid name rest 2>/dev/null <"$stat" && [ "$name" != "(signal-witness)" ] && processes=$((processes + 1))
  done
  [ $processes -le 2 ] && break
  /bin/busybox usleep 50000
done
echo "processes: $processes"
END
# shellcheck disable=SC2086
container $closed $weakest --rootfs "$root" /shmvisor run -- /bin/sh /bin/orphans >"$scratch/out" 2>"$scratch/log" ||
  fail "status $?"
expect "what is left" "processes: 2" "$(cat "$scratch/out")"
