#!/bin/bash
# PostgreSQL, from one of whose backends an operator takes the database's segment: the backend ends by a signal, and the
# postmaster ends the others, makes a segment anew and goes on. Taken from the postmaster too, PostgreSQL ends, and starts
# again on the same data.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3
ulimit -c 0
start_database db || skip "PostgreSQL is not installed (Debian package postgresql)"
PATH=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1):$PATH
log=$database/server.log
failure_log=$log
ask() { timeout 30 psql -AtXq -h "$database" -U tester postgres "$@"; }
answers_again() { [ "$(ask -c 'select count(*), sum(n) from numbers' 2>/dev/null)" = "50000|1250025000" ]; }
# The segment of all its processes: the one with a key.
segment() { client ls --json | python3 -c 'import json, sys
print(*[s["shmid"] for s in json.load(sys.stdin)["segments"] if s["key"] != "0x00000000" and s["segsz"] > 1 << 24])'; }
attached() { client maps "$1" --json | python3 -c 'import json, sys
print(len({one["pid"] for one in json.load(sys.stdin)["maps"]}))'; }

for signal in SIGSEGV SIGBUS; do
  heading "from a backend, $signal"
  rm -f "$scratch/backend"
  mkfifo "$scratch/questions"
  ask >"$scratch/answers" 2>"$scratch/lost" <"$scratch/questions" &
  psql=$!
  exec 8>"$scratch/questions"
  echo 'select pg_backend_pid();' >&8
  wait_until 20 test -s "$scratch/answers" || fail "no backend answers: $(cat "$scratch/lost")"
  backend=$(cat "$scratch/answers")
  before=$(segment)
  [[ $before =~ ^[0-9]+$ ]] || fail "no segment of the database's: $(client ls)"
  client detach "$before" --process "$backend" --signal "$signal" >"$scratch/told" || fail "detach ends with $?"
  expect "the process" "$backend" "$(awk 'NR == 2 { print $1 }' "$scratch/told")"
  echo 'select count(*) from numbers;' >&8
  exec 8>&-
  wait "$psql"
  status=$?
  [ "$status" != 0 ] || fail "the backend goes on without its segment: $(cat "$scratch/answers")"
  grep -q "server process (PID $backend) was terminated by signal $(kill -l "${signal#SIG}")" "$log" ||
    fail "it ends otherwise: $(tail -n 20 "$log")"
  wait_until 60 answers_again || fail "the postmaster does not recover: $(tail -n 20 "$log")"
  grep -q "all server processes terminated; reinitializing" "$log" || fail "nobody says so: $(tail -n 20 "$log")"
  after=$(segment)
  [[ $after =~ ^[0-9]+$ ]] || fail "not one segment afterwards: $(client ls)"
  [ "$(attached "$after")" -ge 5 ] || fail "$(attached "$after") processes have it"
  [ "$(client ls -q | grep -cx "$before")" = 0 ] || [ "$before" = "$after" ] || fail "the old segment stays: $(client ls)"
  rm "$scratch/questions" "$scratch/answers"
done

heading "from all of its processes"
# The postmaster ends, at once or when it next looks; the run with it, in the middle of the answer perhaps.
client detach "$(segment)" >"$scratch/told" 2>&1
ask -c 'select 1' >/dev/null 2>&1
ended() { ! kill -0 "$run" 2>/dev/null; }
wait_until 60 ended || fail "it does not end: $(cat "$scratch/told"; tail -n 20 "$log")"
wait "$run"
status=$?
[ "$status" != 0 ] || fail "it ends as if nothing had been: $(tail -n 20 "$log")"
"$SHMVISOR" run --name again -- setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all -- \
  postgres -D "$database/data" </dev/null >>"$log" 2>&1 &
run=$!
wait_until 60 answers_again || fail "it does not start on its data: $(tail -n 20 "$log")"
grep -q "database system was not properly shut down; automatic recovery in progress" "$log" || fail "no recovery"
kill -INT "$run"
wait "$run"
expect "the second one's exit status" 0 $?
assert_kernel_table_empty
