#!/bin/bash
# Whoever ends first: the server's command (the server stays for who joined), a joined shmvisor (its
# processes are served on, and counted), or the server itself (ENOSYS, and said once). A socket that
# a killed server left behind is replaced.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
peer="python3 -B $(realpath "$(dirname "$0")/peer.py")"
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
join() { timeout --kill-after=10 150 "$SHMVISOR" run --join socket "$@"; }
no_child_of() { ! pgrep -P "$1"; }
ready() { wait_until 60 test -e "$1" || fail "no $1: $(cat ./*.err)"; }

heading "the server's command ends first"
"$SHMVISOR" run --serve socket -- $peer 5 touch serving wait holding 2>server.err &
server=$!
ready serving
join -- $peer 5 make 4096 attach touch holding wait go stat >joined 2>joined.err &
joined=$!
ready holding
wait_until 30 no_child_of "$server" || fail "the server's command does not end"
kill -0 "$server" 2>/dev/null || fail "the server did not stay for who joined"
join -- $peer 5 stat >late 2>late.err || fail "joining a server that lingers: $?: $(cat late.err)"
expect "seen by who joined late" 'size 4096 nattch 1' "$(cat late)"
touch go
wait "$joined"
expect "status of who joined" 0 $?
expect "served to the end" 'size 4096 nattch 1' "$(cat joined)"
wait "$server"
expect "the server's status" 0 $?
assert_silent joined.err
assert_silent server.err
rm -f serving holding go

heading "told to end, it does"
"$SHMVISOR" run --serve socket -- $peer 5 touch serving wait holding 2>server.err &
server=$!
ready serving
join -- $peer 5 make 4096 touch holding wait go stat >joined 2>joined.err &
joined=$!
ready holding
wait_until 30 no_child_of "$server" || fail "the server's command does not end"
kill -TERM "$server"
wait "$server"
expect "the server's status after SIGTERM" 0 $?
[ ! -e socket ] || fail "the socket is left behind"
touch go
wait "$joined"
expect "status of who lost its server" 0 $?
expect "a call without a server" ENOSYS "$(cat joined)"
expect "lines in the log" 1 "$(wc -l <joined.err)"
grep -q "the server at 'socket' has ended" joined.err || fail "$(cat joined.err)"
rm -f serving holding go

heading "killed, with a call in flight; and its socket is replaced"
"$SHMVISOR" run --serve socket -- bash -c 'echo $PPID >serving.new; mv serving.new serving; exec sleep 100' 2>server.err &
server=$!
ready serving
join -- bash -c "$peer 5 make 4096 attach say attached touch holding wait go detach make 1; exit 3" >joined 2>joined.err &
joined=$!
ready holding
kill -KILL "$server"
wait "$server" 2>/dev/null
[ -S socket ] || fail "no socket was left behind"
touch go
wait "$joined"
expect "status of who lost its server" 3 $?
expect "calls without a server" 'attached ENOSYS ENOSYS' "$(tr '\n' ' ' <joined | sed 's/ $//')"
join -- true 2>err
expect "joining at a stale socket" 125 $?
grep -q 'Connection refused' err || fail "$(cat err)"
"$SHMVISOR" run --serve socket -- true 2>err || fail "the stale socket is in the way: $(cat err)"
rm -f serving holding go
pkill -P "$$" -x sleep

heading "the joined shmvisor is killed; what it leaves is served, and counted"
"$SHMVISOR" run --serve socket -- $peer 5 touch serving wait holding 2>server.err &
server=$!
ready serving
"$SHMVISOR" run --no-kill --join socket -- $peer 5 make 4096 attach touch holding wait go stat touch done >joined 2>joined.err &
joined=$!
ready holding
kill -KILL "$joined"
wait "$joined" 2>/dev/null
join -- $peer 5 stat >counted 2>err || fail "$(cat err)"
expect "counted by others" 'size 4096 nattch 1' "$(cat counted)"
touch go
ready 'done'
expect "served on" 'size 4096 nattch 1' "$(cat joined)"
wait "$server"
expect "the server's status" 0 $?
assert_silent server.err
rm -f serving holding go 'done'

heading "descendants of a joined command; --no-linger on either side"
"$SHMVISOR" run --serve socket -- $peer 5 touch serving wait holding 2>server.err &
server=$!
ready serving
join -- bash -c "setsid $peer 5 make 4096 touch holding wait go stat touch done >daemon 2>&1 </dev/null & exit 4" 2>joined.err &
joined=$!
ready holding
sleep 0.3
kill -0 "$joined" 2>/dev/null || fail "the joined shmvisor did not stay for its command's descendants"
touch go
wait "$joined"
expect "status of who joined" 4 $?
expect "the descendant" 'size 4096 nattch 0' "$(cat daemon)"
wait "$server"
rm -f serving holding go 'done'

"$SHMVISOR" run --serve socket --no-linger -- bash -c 'touch serving; while [ ! -e over ]; do sleep 0.05; done' 2>server.err &
server=$!
ready serving
join --no-linger -- bash -c "setsid $peer 5 make 4096 touch holding wait go stat touch done >daemon 2>&1 </dev/null &
  while [ ! -e holding ]; do sleep 0.05; done; exit 4" 2>joined.err
expect "status with --no-linger" 4 $?
touch go
ready 'done'
expect "the descendant is served on" 'size 4096 nattch 0' "$(cat daemon)"
rm -f go 'done' holding
join -- $peer 5 touch holding wait go stat >joined 2>joined.err &
joined=$!
ready holding
touch over
wait "$server"
expect "the server's status with --no-linger" 0 $?
touch go
wait "$joined"
expect "a call without a server" ENOSYS "$(cat joined)"
assert_kernel_table_empty
