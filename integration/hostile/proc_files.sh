#!/bin/bash
# The attacker uses the files in /proc in whatever way a process can. The supervisor must live, stay
# small, keep nobody else waiting, and forget it all afterwards.
. "$(dirname "$0")/../lib.sh" || exit 1
. "$(dirname "$0")/../procfiles/fuse.sh" || exit 1
need python3 python3
need ipcmk util-linux
enter_namespaces "$@"
make_scratch
need_fuse
here=$(cd "$(dirname "$0")" && pwd)
ulimit -c 0

heading 'no descriptor left, and a new IPC namespace'
# Natively the last line is the empty table of the new namespace. Here it may be an error: but one of
# the reader's, who alone is refused.
cat >"$scratch/session" <<'END'
while ipcmk -M 1 >/dev/null 2>&1; do :; done
for i in 1 2 3; do unshare --ipc cat /proc/sysvipc/shm >/dev/null 2>&1; done
unshare --ipc cat /proc/sysvipc/shm 2>&1 | tail -n 1
kill -0 "$PPID" && tail -n +2 /proc/sysvipc/shm | wc -l
END
for descriptors in 40 60 90; do
  (
    # What the test itself inherited is not to count; bash reads this script by 255.
    for fd in /proc/"$BASHPID"/fd/*; do
      [ "${fd##*/}" -le 2 ] || [ "${fd##*/}" = 255 ] || eval "exec ${fd##*/}>&-"
    done
    ulimit -n "$descriptors"
    timeout --kill-after=10 60 "$SHMVISOR" run -- bash "$scratch/session" 2>"$scratch/err" >"$scratch/out"
  ) || fail "ulimit -n $descriptors: status $?: $(cat "$scratch/err")"
  grep -qE 'Cannot allocate memory|shmid' "$scratch/out" ||
    fail "ulimit -n $descriptors: $(cat "$scratch/out")"
  [ "$(tail -n 1 "$scratch/out")" -ge 1 ] || fail "ulimit -n $descriptors: segments are gone: $(cat "$scratch/out")"
done

heading 'many open tables'
timeout --kill-after=10 200 "$SHMVISOR" run --shmmni 4000 -- python3 -B "$here/proc_files.py" memory \
  2>"$scratch/err" || fail "status $?: $(cat "$scratch/err")"

heading 'no memory'
timeout --kill-after=10 200 "$SHMVISOR" run --shmmni 4000 -- python3 -B "$here/proc_files.py" no-memory \
  2>"$scratch/err" || fail "status $?: $(cat "$scratch/err")"

heading 'whatever comes to mind'
for seed in 1 2 3; do
  timeout --kill-after=10 200 "$SHMVISOR" run -- python3 -B "$here/proc_files.py" fuzz "$seed" 6 \
    2>"$scratch/err" || fail "seed $seed: status $?: $(cat "$scratch/err")"
done
