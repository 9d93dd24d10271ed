#!/bin/bash
# run --join-or-serve: whoever comes first serves, the others join it, and when it ends while others
# come one of those serves. All at the same time.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
peer="python3 -B $(realpath "$(dirname "$0")/peer.py")"
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
export SHMVISOR_LOG_LEVEL=error
run="timeout --kill-after=10 100 $SHMVISOR run --proc=off --join-or-serve socket"

heading "several at once"
for round in 1 2 3; do
  rm -f go made-*
  starters=()
  for one in 1 2 3 4 5; do
    $run -- $peer 77 make 4096 attach touch made-$one wait go stat >got-$one 2>err-$one &
    starters+=($!)
  done
  for one in 1 2 3 4 5; do wait_until 60 test -e made-$one || fail "starter $one: $(cat err-$one)"; done
  touch go
  for starter in "${starters[@]}"; do wait "$starter" || fail "a starter: $? $(cat err-*)"; done
  expect "round $round: whoever made the segment" 1 "$(cat got-* | grep -c EEXIST | awk '{ print 5 - $1 }')"
  expect "round $round: whoever sees it" 5 "$(cat got-* | grep -c 'size 4096')"
done
[ ! -e socket ] || fail "the socket is left behind"

heading "servers that end while others come"
for worker in 1 2 3 4; do
  (
    for again in $(seq 15); do
      $run -- true 2>"err-$worker" || exit 1
    done
  ) &
  workers+=($!)
done
for worker in "${workers[@]}"; do wait "$worker" || fail "a short one: $(cat err-*)"; done

# kill_server FILE SCRIPT: kills the shmvisor of a command that writes its number to the file "server", once
# FILE is there.
kill_server() {
  $run -- bash -c "$2" 2>err-1 &
  local victim=$!
  wait_until 30 test -s "$1" || fail "no server: $(cat err-1)"
  kill -KILL "$(cat server)"
  wait "$victim" 2>/dev/null
}

heading "a server that was killed"
kill_server server 'echo $PPID >server.new; mv server.new server; exec sleep 60'
$run -- true 2>err-1 || fail "behind one that was killed: $(cat err-1)"

heading "what a killed server leaves keeps a second one out"
kill_server left 'echo $PPID >server; setsid sleep 60 & echo $! >left.new; mv left.new left; wait'
$run -- touch ran 2>err-1
expect "beside what is left" 125 $?
grep -q 'live on' err-1 || fail "$(cat err-1)"
[ ! -e ran ] || fail "it ran"
kill "$(cat left)"
$run -- true 2>err-1 || fail "when nothing is left: $(cat err-1)"

heading "told to end while it joins"
cat >mute.py <<'END'
import socket
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.bind("mute")
server.listen(8)
kept = []
while True:
    kept.append(server.accept()[0])
    kept[-1].send(b"shmvisor serve2\0")
    kept[-1].recv(100)
    open("asked", "w").close()
END
python3 -B mute.py &
mute=$!
wait_until 30 test -S mute || fail "no socket"
for around in '' 'unshare --pid --fork --kill-child --mount-proc'; do
  rm -f asked
  $around "$SHMVISOR" run --proc=off --join mute -- true 2>err-1 &
  joining=$!
  wait_until 30 test -e asked || fail "nobody asks: $(cat err-1)"
  told=$joining
  [ -z "$around" ] || told=$(pgrep -P "$joining")
  kill -TERM "$told"
  wait "$joining"
  expect "its status ($around)" 143 $?
done
kill "$mute"

heading "what is no server"
rm -f socket
echo precious >socket
$run -- touch ran 2>err-1
expect "a file" 125 $?
[ ! -e ran ] && expect "the file" precious "$(cat socket)"
mkfifo fifo.lock
timeout --kill-after=10 60 "$SHMVISOR" run --proc=off --join-or-serve fifo -- touch ran 2>err-1
expect "a lock that is a FIFO" 125 $?
grep -q 'not a regular file' err-1 || fail "$(cat err-1)"
[ ! -e ran ] || fail "it ran"
"$SHMVISOR" run --join-or-serve other --no-linger -- true 2>err-1
expect "--no-linger" 125 $?

heading "the user of a folder, behind a start by root"
if [ "$(id -u)" = 0 ] && setpriv --reuid 65533 --clear-groups -- test -x "$SHMVISOR"; then
  install -d -o 65533 owned
  chmod 711 .
  timeout 60 "$SHMVISOR" run --proc=off --join-or-serve owned/socket -- false
  expect "root's" 1 $?
  timeout 60 setpriv --reuid 65533 --clear-groups -- "$SHMVISOR" run --proc=off --join-or-serve owned/socket -- true 2>err-1 ||
    fail "its own: $(cat err-1)"
fi

heading "what is for the run that serves"
printf '[[rule]]\naction = "log"\n' >rules.toml
both=(timeout --kill-after=10 100 "$SHMVISOR" run --log-level=warning --proc=off --join-or-serve both --audit ./audit.log
  --trace=./traced --shmmax 1M --config rules.toml)
"${both[@]}" -- bash -c 'touch serving; while [ ! -e over ]; do sleep 0.05; done' 2>served.err &
serving=$!
wait_until 30 test -e serving || fail "it does not serve: $(cat served.err)"
mv audit.log first.log
rm -f traced
"${both[@]}" -- true 2>err-1 || fail "it does not join: $(cat err-1)"
grep -q "this run joins another one: --shmmax, --trace, --audit are for the run that serves, and do nothing here" err-1 ||
  fail "nothing is said of options: $(cat err-1)"
grep -q "rules and users' limits of --config are for the run that serves" err-1 || fail "nothing of rules: $(cat err-1)"
[ ! -e traced ] || fail "an empty trace is made"
# The first one's own, which makes a file where another program has moved it away.
! grep -q ' start ' audit.log 2>/dev/null || fail "the second one writes an audit: $(cat audit.log)"
SHMVISOR_AUDIT=./other.log timeout 60 "$SHMVISOR" run --log-level=warning --proc=off --join-or-serve both -- true 2>err-1 ||
  fail "it does not join: $(cat err-1)"
! grep -q "joins another one" err-1 || fail "what is for each run is complained of: $(cat err-1)"
[ ! -e other.log ] || fail "an audit file is made that nothing is written to"
touch over
wait "$serving" || fail "the first: $?"
! grep -q "joins another one" served.err || fail "the first one says: $(cat served.err)"
grep -q ' start ' first.log || fail "the first one has no audit: $(cat first.log)"
assert_kernel_table_empty
