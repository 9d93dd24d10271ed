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

heading "a server that was killed, and what is no server"
$run -- sleep 60 2>err-1 &
victim=$!
wait_until 30 test -S socket || fail "no server: $(cat err-1)"
kill -KILL "$(pgrep -f -n "$SHMVISOR run --proc=off --join-or-serve")"
wait "$victim" 2>/dev/null
$run -- true 2>err-1 || fail "behind one that was killed: $(cat err-1)"
echo precious >socket
$run -- touch ran 2>err-1
expect "a file" 125 $?
[ ! -e ran ] && expect "the file" precious "$(cat socket)"
"$SHMVISOR" run --join-or-serve other --no-linger -- true 2>err-1
expect "--no-linger" 125 $?
assert_kernel_table_empty
