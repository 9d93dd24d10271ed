#!/bin/bash
# serve-metrics: what it serves is what OpenMetrics says and what the runs did; neither runs that do not answer
# nor clients that do what they like keep others waiting.
. "$(dirname "$0")/../lib.sh" || exit 1
here=$(cd "$(dirname "$0")" && pwd)
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3
metrics() { timeout --kill-after=10 100 python3 "$here/metrics.py" "$@"; }

cat >"$scratch/calls.py" <<'EOS'
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
first = libc.shmget(0x77, ctypes.c_size_t(8192), 0o1640)
doomed = libc.shmget(0, ctypes.c_size_t(5000), 0o1600)
for shmid in (first, first, doomed):
    libc.shmat(shmid, None, 0)
libc.shmctl(doomed, 0, None)
for _ in range(3):
    assert libc.shmget(0x78, ctypes.c_size_t(1 << 21), 0o1600) == -1
open(sys.argv[1] + "/ready", "w").close()
slowest = 0
while not os.path.exists(sys.argv[1] + "/over"):
    time.sleep(0.002)
    before = time.monotonic()
    libc.shmdt(ctypes.c_void_p(4096))
    slowest = max(slowest, time.monotonic() - before)
print(f"the slowest of its calls took {slowest * 1000:.1f} ms")
sys.exit(slowest > 5)
EOS
# start_exporter [OPTION...]: $exporter, and $url, where it listens.
start_exporter() {
  # What the last one said must not be taken for the next one's: the new one truncates the file only later.
  rm -f "$scratch/url"
  "$SHMVISOR" serve-metrics "$@" >"$scratch/url" 2>"$scratch/exporter.log" &
  exporter=$!
  wait_until 20 grep -q . "$scratch/url" || fail "it does not listen: $(cat "$scratch/exporter.log")"
  url=$(sed -n 's/^metrics at //p' "$scratch/url")
}

heading "no run"
start_exporter --listen 127.0.0.1:0
metrics none "$url" || fail "see above"

heading "one run, another one, and PostgreSQL"
if start_database db; then
  database_run=$run
  metrics database "$url" db || fail "see above"
  run=$database_run
  stop_database
else
  echo "not tried, PostgreSQL is missing"
fi
start_run web --shmmax 1M --shmmni 7 -- python3 "$scratch/calls.py" "$scratch"
web=$run
wait_until 30 test -e "$scratch/ready" || fail "the command does not come so far"
start_run other -- sleep 1000
other=$run
metrics two "$url" || fail "see above"
if command -v promtool >/dev/null; then
  metrics print "$url" | promtool check metrics || fail "promtool has something to say"
fi

heading "a run that does not answer, and sockets of others' making"
kill -STOP "$other"
metrics stopped "$url" || fail "see above"
metrics forged "$url" "$XDG_RUNTIME_DIR/shmvisor" || fail "see above"
kill -CONT "$other"

heading "clients"
metrics hostile "$url" || fail "see above"
[ "$(find "/proc/$exporter/fd" -mindepth 1 -maxdepth 1 | wc -l)" -lt 100 ] || fail "it keeps descriptors"

heading "its end, and other places"
kill "$exporter"
wait "$exporter"
expect "exit status" 0 $?
SHMVISOR_LISTEN=$scratch/metrics.socket start_exporter --control "$XDG_RUNTIME_DIR/shmvisor/web.control"
expect "where it listens" "unix:$scratch/metrics.socket" "$url"
expect "mode" 600 "$(stat -c %a "$scratch/metrics.socket")"
metrics two "$url" || fail "see above"
kill "$exporter"
wait "$exporter"
[ ! -e "$scratch/metrics.socket" ] || fail "the socket is left"
kill "$other"
touch "$scratch/over"
wait "$web"
expect "exit status of the command" 0 $?
cat "$scratch/web.out"
"$SHMVISOR" run --name far --control "$scratch/far.control" -- sleep 1000 &
run=$!
wait_until 20 answers --control "$scratch/far.control" || fail "the run does not answer"
XDG_RUNTIME_DIR=$scratch/nowhere SHMVISOR_CONTROL=$scratch/far.control start_exporter --listen 0
metrics one "$url" far || fail "see above"
said 1 'cannot listen at 127.0.0.1:[0-9]*: Address already in use; listen elsewhere: --listen' timeout 10 "$SHMVISOR" serve-metrics --listen "$(sed 's|http://||; s|/metrics||' <<<"$url")"
kill "$exporter"
wait "$exporter"
assert_silent "$scratch/exporter.log"
# A path that is misspelt, or of a run that has ended, is told and counted.
XDG_RUNTIME_DIR=$scratch/nowhere start_exporter --listen 0 --control "$scratch/far.control" \
  --control "$scratch/for.control" --control "$scratch/for.control"
metrics one "$url" far 1 || fail "see above"
expect "what it says" "shmvisor: no run answers at $scratch/for.control yet: No such file or directory; it counts as unanswered until one does" \
  "$(cat "$scratch/exporter.log")"
kill "$exporter" "$run"
said 125 "'banana' is neither ADDRESS:PORT" client serve-metrics --listen banana
said 125 "the place is empty" client serve-metrics --listen ''
assert_kernel_table_empty
