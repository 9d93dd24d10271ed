#!/bin/bash
# --private-ipc: semaphores and message queues of the command are private too, its segments are as without it, and
# its rights over them are those that the kernel gives in an IPC namespace of its own.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
enter_namespaces "$@"
make_scratch
chmod 777 "$scratch" && cd "$scratch" || fail cd
outside=$(readlink /proc/self/ns/ipc)

semaphores() { tail -n +2 /proc/sysvipc/sem | wc -l; }
queues() { tail -n +2 /proc/sysvipc/msg | wc -l; }

heading "semaphores and queues"
"$SHMVISOR" run --private-ipc -- bash -c 'readlink /proc/self/ns/ipc; ipcmk -S 1 -Q >/dev/null
  tail -n +2 /proc/sysvipc/sem | wc -l; tail -n +2 /proc/sysvipc/msg | wc -l' >out 2>err || fail "$(cat out err)"
assert_silent err
[ "$(head -n 1 out)" != "$outside" ] || fail "the command has no IPC namespace of its own"
expect "semaphores and queues, inside" "1 1" "$(tail -n 2 out | paste -s -d ' ')"
expect "semaphores and queues, outside" "0 0" "$(semaphores) $(queues)"
"$SHMVISOR" run -- bash -c 'ipcmk -S 1 >/dev/null; readlink /proc/self/ns/ipc' >out 2>err || fail "$(cat out err)"
expect "without the option, the IPC namespace" "$outside" "$(cat out)"
expect "without the option, semaphores outside" 1 "$(semaphores)"
ipcrm --all=sem

heading "segments"
# shellcheck disable=SC2016
"$SHMVISOR" run --private-ipc --shmmni 7 -- bash -c '
  ipcmk -M 4096 && tail -n +2 /proc/sysvipc/shm | wc -l && cat /proc/sys/kernel/shmmni && "$0" &&
    unshare --ipc bash -c "ipcmk -M 4096 && cat /proc/sys/kernel/shmmni" && tail -n +2 /proc/sysvipc/shm | wc -l' \
  "$programs/command_attach_once" >out 2>err || fail "$(cat out err)"
expect "the table and its limit" "1 7" "$(sed -n '2,3p' out | paste -s -d ' ')"
expect "an attach" ok "$(sed -n 's/^shmat = //p' out)"
expect "the limit in a namespace below, then the table" "4096 1" "$(tail -n 2 out | paste -s -d ' ')"

heading "as the kernel's"
# The right to set a limit goes with the user namespace that owns the IPC namespace.
set_limit='echo 5000 >/proc/sys/kernel/shmmni; echo "status $?"; cat /proc/sys/kernel/shmmni'
for who in '' as_user; do
  $who unshare --user --map-current-user --ipc bash -c "$set_limit" >native 2>/dev/null || skip "no user namespaces"
  $who "$SHMVISOR" run --userns --private-ipc --log-level error -- bash -c "$set_limit" >supervised 2>/dev/null
  expect "${who:-root}: setting a limit" "$(cat native)" "$(cat supervised)"
done

heading "refused"
as_user "$SHMVISOR" run --private-ipc -- "$programs/command_attach_once" >out 2>err || fail "status $?: $(cat err)"
grep -q -- '--private-ipc: the kernel refuses.*try it with --userns' err || fail "no warning: $(cat err)"
expect "an attach all the same" ok "$(sed -n 's/^shmat = //p' out)"
as_user "$SHMVISOR" run --userns --private-ipc -- readlink /proc/self/ns/ipc >out 2>err || fail "$(cat err)"
[ "$(cat out)" != "$outside" ] || fail "with --userns the command has no IPC namespace of its own"

heading "joined"
! "$SHMVISOR" run --private-ipc --join socket -- true 2>err || fail "--join goes with --private-ipc"
grep -q -- '--join' err || fail "not said: $(cat err)"
"$SHMVISOR" run --private-ipc --join-or-serve joined -- bash -c 'ipcmk -M 4096 >made; while [ ! -e go ]; do sleep 0.05; done' &
server=$!
wait_until 30 test -s made || fail "no segment"
"$SHMVISOR" run --private-ipc --join-or-serve joined -- ipcs -m >out 2>err || fail "$(cat err)"
touch go
wait "$server" || fail "status $?"
grep -q ' 4096 ' out || fail "the joined run does not see the segment: $(cat out)"
grep -q 'stay shared' err || fail "no warning: $(cat err)"

heading "ls"
for option in '' --private-ipc; do
  # shellcheck disable=SC2086
  "$SHMVISOR" run $option --control socket -- "$SHMVISOR" ls --control socket >out 2>err || fail "$(cat err)"
  expect "ls of a run with '$option'" "$([ -z "$option" ] || echo 1)" "$(grep -c 'private too' out | grep -v 0)"
done
assert_kernel_table_empty
