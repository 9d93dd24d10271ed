#!/bin/bash
# Processes in an exec that never ends keep whoever looks at them waiting. Who asks about segments gets
# the kernel's answer all the same, soon, and the supervisor loses no more than a bounded number of
# threads, which come back.
. "$(dirname "$0")/../lib.sh" || exit 1
. "$(dirname "$0")/../procfiles/fuse.sh" || exit 1
enter_namespaces "$@"
make_scratch
need_fuse
stuck_exec=${1:?path of the program}
mkdir "$scratch/own"
ulimit -c 0

heading 'an exec that never ends, natively'
natively=$(unshare --ipc timeout -s KILL 60 "$stuck_exec" "$scratch/own" 3 2>"$scratch/err") ||
  skip "natively: status $?: $(cat "$scratch/err")"

for mode in fuse off; do
  for count in 3 40; do
    heading "an exec that never ends, $count times, --proc=$mode"
    supervised=$(timeout -s KILL 100 "$SHMVISOR" run --proc="$mode" -- bash -c "
      '$stuck_exec' '$scratch/own' $count 2>'$scratch/slowest' || exit 1
      sleep 1; ls /proc/\$PPID/task | wc -l >'$scratch/threads'" 2>"$scratch/err") ||
      fail "status $?: $supervised $(cat "$scratch/err" "$scratch/slowest")"
    expect "what the bystander sees" "$natively" "$supervised"
    # 20 ms for each process the first time, 30 ms for each question at most.
    awk '$1 > 50 { exit 1 }' "$scratch/slowest" || echo "slowest IPC_STAT: $(cat "$scratch/slowest") ms"
    awk '$1 > 1000 { exit 1 }' "$scratch/slowest" || fail "IPC_STAT took $(cat "$scratch/slowest") ms"
    [ "$(cat "$scratch/threads")" -le 20 ] || fail "$(cat "$scratch/threads") threads are left"
  done
done
