#!/bin/bash
# Where /proc has nothing of System V IPC to show, as on a kernel without CONFIG_SYSVIPC: here a
# /proc that shows processes only.
. "$(dirname "$0")/../lib.sh" || exit 1
need ipcs util-linux
enter_namespaces "$@"
make_scratch
mount -t proc -o subset=pid proc /proc 2>"$scratch/err" || skip "no /proc with subset=pid: $(cat "$scratch/err")"
[ ! -e /proc/sysvipc ] || fail "/proc/sysvipc is there all the same"

session='id=$(ipcmk -M 5000 | grep -o "[0-9]*$") && ipcs -m | grep -c " 5000 " && ipcs -l | grep -c "max seg size" &&
  unshare --ipc ipcs -m | grep -c " 5000 "; ipcrm -m "$id"'
for mode in '' --proc=hide --proc=off --userns; do
  heading "run $mode"
  # shellcheck disable=SC2086
  seen=$(timeout --kill-after=10 60 "$SHMVISOR" run $mode -- bash -c "$session" 2>"$scratch/err") ||
    fail "status $?: $seen $(cat "$scratch/err")"
  expect "what ipcs shows" "$(printf '1\n1\n0')" "$seen"
  assert_silent "$scratch/err"
done

heading 'run --proc=fuse'
seen=$(timeout --kill-after=10 60 "$SHMVISOR" run --proc=fuse -- bash -c "$session" 2>"$scratch/err") ||
  fail "status $?: $(cat "$scratch/err")"
expect "what ipcs shows" "$(printf '1\n1\n0')" "$seen"
grep -q 'warning: --proc=fuse: /proc has no sysvipc' "$scratch/err" || fail "it does not say so: $(cat "$scratch/err")"

heading check
"$SHMVISOR" check >"$scratch/out" || fail "check: $(cat "$scratch/out")"
expect "lines that say so" 2 "$(grep -cE '^proc-(fuse|hide) +not needed' "$scratch/out")"
