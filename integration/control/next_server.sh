#!/bin/bash
# events and trace of a run with --keeper follow the server that takes over when one was killed, say so, and end with the
# run; the audit tells of the death.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need ipcmk util-linux

# find_server: $server, the process of the run that serves.
find_server() {
  local child
  for child in $(cat "/proc/$run/task/$run/children"); do
    [ "$(cat "/proc/$child/comm" 2>/dev/null)" = shmvisor-server ] && server=$child && return
  done
  return 1
}
is_served_by_another() { find_server && [ "$server" != "$killed" ] && answers --name kept; }

start_run kept --keeper --audit "$scratch/audit" --trace="$scratch/own" --report="$scratch/report" -- sh -c 'while [ ! -e "$0/over" ]; do
  [ -e "$0/make" ] && rm "$0/make" && ipcmk -M 4096 | tr -dc 0-9 >"$0/made.new" && mv "$0/made.new" "$0/made"
  sleep 0.05
done' "$scratch"
client events --name kept --json >"$scratch/events" 2>&1 &
events=$!
client trace --name kept >"$scratch/trace" 2>&1 &
trace=$!
# make_one: a segment, whose number is in $made then, of which both are to tell.
make_one() {
  touch "$scratch/make"
  wait_until 30 test -e "$scratch/made" || fail "no segment is made"
  made=$(cat "$scratch/made")
  rm "$scratch/made"
}
tell_of_last() { grep -q "\"event\":\"create\".*\"shmid\":${made}[,}]" "$scratch/events" && grep -q "shmget(.* = $made " "$scratch/trace" &&
  grep -q "shmget(.* = $made " "$scratch/own"; }
# counts FILE PATTERN NUMBER
counts() { [ "$(grep -c -- "$2" "$scratch/$1")" = "$3" ]; }

heading "the first server"
both_follow() {
  make_one
  grep -q '"event":"create"' "$scratch/events" && grep -q 'shmget(' "$scratch/trace"
}
wait_until 30 both_follow || fail "events: $(cat "$scratch/events"); trace: $(cat "$scratch/trace")"
# Of all before it they have told then.
wait_until 30 tell_of_last || fail "events: $(cat "$scratch/events"); trace: $(cat "$scratch/trace")"
seen=$(grep -c '"event":"create"' "$scratch/events") traced=$(grep -c 'shmget(' "$scratch/trace")
own=$(grep -c 'shmget(' "$scratch/own")

for death in 1 2; do
  heading "death $death"
  find_server || fail "there is no server"
  killed=$server
  kill -KILL "$server"
  wait_until 60 is_served_by_another || fail "no other server: $(cat "$scratch/kept.log")"
  wait_until 60 counts events '^{"another_server":true}$' $death || fail "events: $(cat "$scratch/events")"
  wait_until 60 counts trace '^+++ another server goes on' $death || fail "trace: $(cat "$scratch/trace")"
  make_one
  wait_until 30 counts events '"event":"create"' $((seen + death)) || fail "events: $(cat "$scratch/events")"
  wait_until 30 counts trace 'shmget(' $((traced + death)) || fail "trace: $(cat "$scratch/trace")"
  # What it was begun with goes on, too.
  wait_until 30 counts own 'shmget(' $((own + death)) || fail "--trace: $(cat "$scratch/own")"
  counts own '^+++ another server goes on' $death || fail "--trace: $(cat "$scratch/own")"
done

heading "the end"
touch "$scratch/over"
wait "$run"
expect "exit status of the run" 0 $?
wait "$events"
expect "exit status of events" 0 $?
wait "$trace"
expect "exit status of trace" 0 $?
grep -q '^counted since another server took over' "$scratch/report" || fail "report: $(cat "$scratch/report")"
told=$(sed -nE 's/^[^ ]+ [^ ]+: (start|takeover|stop)( .*|$)/\1/p' "$scratch/audit" | xargs)
expect "what the audit tells" "start takeover takeover stop" "$told"

heading "who reads no more"
start_run kept --keeper -- sleep 1000
timeout --kill-after=10 30 "$SHMVISOR" events --name kept </dev/null | head -0
expect "exit status of events" 0 "${PIPESTATUS[0]}"
kill "$run"
wait "$run"
assert_kernel_table_empty
