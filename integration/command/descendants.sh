#!/bin/bash
# Descendants that outlive the command are served on; shmvisor ends after the last of them, with
# the command's status; --no-linger ends at once; no zombie stays.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd

# The command leaves two daemons behind, in sessions of their own, and ends with 7.
cat >session <<END
for i in 1 2; do
  ( setsid bash -c '
      while [ ! -e go.'\$i' ]; do sleep 0.05; done
      "$programs/command_attach_once" >daemon.'\$i' 2>&1
      touch done.'\$i'' </dev/null >/dev/null 2>&1 & )
done
exit 7
END
printf 'shmget = ok\nshmat = ok\nshmdt = ok\nIPC_STAT = ok\nnattch 0\nIPC_RMID = ok\n' >works

"$SHMVISOR" run -- bash session 2>err &
shmvisor=$!
command_ended() { ! pgrep -f '^bash session' >/dev/null && [ "$(pgrep -fc 'while \[ ! -e go')" = 2 ]; }
wait_until 30 command_ended || fail "the session did not reach its end"
kill -0 "$shmvisor" 2>/dev/null || fail "shmvisor did not wait for the descendants"
touch go.1
wait_until 30 test -e done.1 || fail "the first daemon hangs"
diff -u works daemon.1 || fail "the first daemon was not served"
kill -0 "$shmvisor" 2>/dev/null || fail "shmvisor did not wait for the second descendant"
touch go.2
wait "$shmvisor"
expect "exit status" 7 $?
diff -u works daemon.2 || fail "the second daemon was not served"
assert_silent err

# Segments outlive the command as long as descendants live, and are then gone with shmvisor.
rm -f go.* done.*
"$SHMVISOR" run --no-linger -- bash session 2>err &
shmvisor=$!
ended() { ! kill -0 "$shmvisor"; }
wait_until 30 ended || fail "--no-linger waits"
wait "$shmvisor"
expect "exit status with --no-linger" 7 $?
# What is left must not hang in its call.
touch go.1 go.2
no_daemon() { ! pgrep -f 'while \[ ! -e go'; }
wait_until 30 no_daemon || fail "a descendant hangs after shmvisor has ended"

# It waits for no thread of its own then, which before Linux 6.11 nothing else wakes.
begun=${EPOCHREALTIME/./}
for _ in 1 2 3 4; do
  "$SHMVISOR" run --no-linger --proc off --log-level error -- sh -c 'sleep 2 >/dev/null 2>&1 &' 2>err ||
    fail "--no-linger: status $?: $(cat err)"
done
took_ms=$(((${EPOCHREALTIME/./} - begun) / 1000))
[ "$took_ms" -lt 3500 ] || fail "four runs took $took_ms ms"

# Orphans are reaped, by whoever is their parent then.
cat >orphans <<'END'
for i in $(seq 50); do ( ( exit 3 ) & ) ; done
for i in $(seq 600); do
  [ "$(ps -eo stat= | grep -c '^Z')" = 0 ] && exit 0
  sleep 0.05
done
ps -ef
exit 1
END
supervised bash orphans >out 2>err || fail "zombies stay: $(cat out)"
assert_silent err

# A daemon that closes everything it inherited does not hold up who reads shmvisor's output.
got=$(timeout 60 "$SHMVISOR" run -- bash -c 'echo out')
expect "output through a pipe" out "$got"
assert_kernel_table_empty
