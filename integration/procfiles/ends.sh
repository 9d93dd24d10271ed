#!/bin/bash
# Nobody hangs: readers die in the middle, the supervisor dies or leaves while files are read, and
# page faults on them meet attaches. And an idle supervisor sleeps.
. "$(dirname "$0")/../lib.sh" || exit 1
. "$(dirname "$0")/fuse.sh" || exit 1
need python3 python3
enter_namespaces "$@"
make_scratch
need_fuse
here=$(cd "$(dirname "$0")" && pwd)
hammer="python3 -B $here/hammer.py"

served() { [ "$(find "$scratch/$1" -type f | wc -l)" = "$2" ]; }
# This script's pid namespace holds nothing but the script and what it started.
none_left() { [ "$(pgrep -c -f "$1")" = 0 ]; }

ulimit -c 0

heading 'killed while it serves'
for round in 1 2 3 4 5; do
  folder=killed$round
  mkdir "$scratch/$folder"
  # shellcheck disable=SC2086
  "$SHMVISOR" run -- $hammer "$scratch/$folder" 6 2>"$scratch/err" &
  supervisor=$!
  wait_until 60 served "$folder" 6 || fail "not all are served: $(cat "$scratch/err")"
  kill -KILL "$supervisor"
  wait "$supervisor" 2>/dev/null
  wait_until 60 none_left hammer.py || fail "still there: $(ps -eo pid,stat,wchan:20,args)"
  ! grep -q Error "$scratch/err" || fail "an unexpected error: $(cat "$scratch/err")"
done

heading 'gone while descendants read'
mkdir "$scratch/left"
# shellcheck disable=SC2086
timeout --kill-after=10 120 "$SHMVISOR" run --no-linger -- bash -c "
  $hammer $scratch/left 3 & until [ \$(ls $scratch/left | wc -l) = 3 ]; do sleep 0.1; done" 2>"$scratch/err" ||
  fail "status $?: $(cat "$scratch/err")"
wait_until 60 none_left hammer.py || fail "still there: $(ps -eo pid,stat,wchan:20,args)"

heading 'at once, though descendants keep the mounts'
begin=$SECONDS
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
  "$SHMVISOR" run --no-linger -- bash -c 'setsid sleep 60 </proc/sysvipc/shm >/dev/null 2>&1 & exit 3'
  expect "status" 3 $?
done
took=$((SECONDS - begin))
pkill -P 1 -x sleep
pkill -P "$$" -x sleep
wait_until 60 none_left 'sleep 60' || fail "still there: $(ps -eo pid,stat,wchan:20,args)"
# Each was a second late.
[ "$took" -lt 10 ] || fail "$took s for twelve"

heading 'readers that come and go leave nothing'
cat >"$scratch/session" <<'END'
descriptors() { ls "/proc/$PPID/fd" | wc -l; }
threads() { ls "/proc/$PPID/task" | wc -l; }
reads() { for i in $(seq 200); do read -r _ </proc/sysvipc/shm; cat /proc/sys/kernel/shmmni >/dev/null; done; }
reads
before="$(descriptors) $(threads)"
reads
kept=
for i in $(seq 20); do exec {kept}</proc/sysvipc/shm; done
echo "$before"
echo "$(descriptors) $(threads)"
END
timeout --kill-after=10 120 "$SHMVISOR" run -- bash "$scratch/session" >"$scratch/out" || fail "status $?"
expect "descriptors and threads of the supervisor" "$(sed -n 1p "$scratch/out")" "$(sed -n 2p "$scratch/out")"

heading 'an idle supervisor'
cat >"$scratch/session" <<'END'
switches() { cat /proc/$PPID/task/*/status | awk '/ctxt_switches/ { sum += $2 } END { print sum }'; }
cat /proc/sysvipc/shm >/dev/null
sleep 1
switches
sleep 2
switches
END
timeout --kill-after=10 120 "$SHMVISOR" run -- bash "$scratch/session" >"$scratch/out" || fail "status $?"
# The signal that the end of sleep is wakes the main thread, which may reap an orphan.
read -r before after <<<"$(tr '\n' ' ' <"$scratch/out")"
# ThreadSanitizer has a thread that wakes up ten times a second.
most=2
case ${SHMVISOR_SANITIZED:-} in *thread*) most=30 ;; esac
[ $((after - before)) -le "$most" ] || fail "$((after - before)) wake-ups in two idle seconds"
assert_kernel_table_empty
