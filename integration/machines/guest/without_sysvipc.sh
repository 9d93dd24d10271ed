#!/bin/bash
# A kernel without System V IPC, with IPC namespaces or without: what fails natively works, and what shmvisor says of
# files and namespaces that this kernel lacks is true.
. /integration/lib.sh || exit 1
[ ! -e /proc/sysvipc ] || skip "this kernel has System V IPC"
kernels_shm=optional
enter_namespaces "$@"
make_scratch
mkdir -m 777 "$scratch/work" && cd "$scratch/work" || fail mkdir
export XDG_RUNTIME_DIR=$PWD

attaches() { sed -n 's/^\(shmget\|shmat\|shmdt\) = //p' out | paste -s -d ' '; }

/programs/command_attach_once >out 2>err
expect "natively" "shmget = ENOSYS" "$(head -n 1 out)"

heading "ways to start"
for who in '' as_user; do
  for options in '' --userns --keeper '--without call-page' '--without wait-killable-recv' --no-linger; do
    # shellcheck disable=SC2086
    $who timeout 60 "$SHMVISOR" run $options -- /programs/command_attach_once >out 2>err ||
      fail "$who run $options: status $?: $(cat out err)"
    expect "$who run $options" "ok ok ok" "$(attaches)"
    assert_silent err
  done
done
timeout 60 "$SHMVISOR" run --proc=fuse -- /programs/command_attach_once >out 2>err || fail "--proc=fuse: $(cat err)"
grep -q 'no sysvipc here' err || fail "--proc=fuse says nothing: $(cat err)"

heading "what is shown"
timeout 60 "$SHMVISOR" run -- \
  bash -c 'ipcmk -M 5000 >made; ipcs -m | grep -c " 5000 "; test -e /proc/sysvipc || echo none' >out
expect "ipcs, which asks by SHM_STAT" "1 none" "$(paste -s -d ' ' out)"

heading "IPC namespaces"
if unshare --ipc true 2>err; then
  timeout 60 "$SHMVISOR" run -- bash -c 'ipcmk -M 5000 >made; unshare --ipc ipcs -m | grep -c " 5000 "' >out
  expect "one made inside has a registry of its own" 0 "$(cat out)"
  timeout 60 "$SHMVISOR" run --private-ipc -- /programs/command_attach_once >out 2>err || fail "$(cat err)"
  assert_silent err
else
  grep -q 'Invalid argument' err || fail "unshare --ipc: $(cat err)"
  timeout 60 "$SHMVISOR" run -- unshare --ipc true >out 2>err
  expect "no IPC namespace can be made inside either" 1 $?
  timeout 60 "$SHMVISOR" run --private-ipc -- /programs/command_attach_once >out 2>err || fail "$(cat err)"
  grep -q 'refuses a new IPC namespace (Invalid argument)' err || fail "--private-ipc: $(cat err)"
fi
expect "--private-ipc" "ok ok ok" "$(attaches)"

heading "joined runs, and a look inside"
timeout 60 "$SHMVISOR" run --serve socket --name look -- \
  bash -c 'ipcmk -M 5000 >made; while [ ! -e over ]; do sleep 0.05; done' 2>err &
server=$!
wait_until 20 test -S socket || fail "no socket: $(cat err)"
wait_until 20 grep -q id made || fail "no segment: $(cat err)"
expect "ls" 1 "$("$SHMVISOR" ls --name look | grep -c ' 5000 ')"
expect "joined" 1 "$(timeout 60 "$SHMVISOR" run --join socket -- ipcs -m | grep -c ' 5000 ')"
touch over
wait $server || fail "the serving run: $(cat err)"
assert_silent err
