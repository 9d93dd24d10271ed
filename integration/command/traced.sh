#!/bin/bash
# A process has one tracer. Under strace shmat fails with EACCES and a warning names the tracer;
# before and after a trace all works; calls wait for a tracer that leaves again.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
need strace strace
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd

printf 'shmget = ok\nshmat = ok\nshmdt = ok\nIPC_STAT = ok\nnattch 0\nIPC_RMID = ok\n' >works
printf 'shmget = ok\nshmat = EACCES\nIPC_STAT = ok\nnattch 0\nIPC_RMID = ok\n' >refused

strace -o trace true 2>/dev/null || skip "strace does not work here"

supervised strace -o trace "$programs/command_attach_once" >out 2>err
expect "exit status under strace" 1 $?
diff -u refused out || fail "under strace"
grep -q strace err || fail "no warning that names the tracer: '$(cat err)'"

if command -v gdb >/dev/null; then
  # gdb ends the session itself; the program runs to its end under it.
  supervised gdb -nx -batch -ex run "$programs/command_attach_once" >out 2>err </dev/null
  grep -q '^shmat = EACCES' out || fail "under gdb: $(cat out err)"
  grep -q gdb err || fail "no warning that names gdb: '$(cat err)'"
fi

# A trace that is over when the call is made.
cat >session <<END
"$programs/command_attach_once" "$scratch/go" &
program=\$!
strace -o trace -p "\$program" 2>strace.err &
tracer=\$!
for _ in \$(seq 600); do
  grep -q "^TracerPid:.\$tracer\$" /proc/\$program/status && break
  sleep 0.05
done
grep -q "^TracerPid:.\$tracer\$" /proc/\$program/status || echo "strace never attached"
kill -INT "\$tracer"
wait "\$tracer"
touch "$scratch/go"
wait "\$program"
END
supervised bash session >out 2>err || fail "after a trace: status $?, $(cat out err strace.err)"
diff -u works out || fail "after a trace"
assert_silent err

# One that looks on for a second: calls wait until it has left.
cat >session <<END
"$programs/command_attach_often" "$scratch/enough" >often &
program=\$!
sleep 0.5
# A process has one tracer, and in the middle of an attach that is shmvisor.
for _ in \$(seq 100); do
  timeout --signal INT 1 strace -o trace -p "\$program" 2>strace.err
  grep -q 'Operation not permitted' strace.err || break
done
sleep 0.5
touch "$scratch/enough"
wait "\$program"
END
supervised bash session >out 2>err || fail "beside a trace: status $?, $(cat often out err strace.err)"
expect "beside a trace" "0 failures" "$(cat often)"
grep -q shmat trace || fail "strace saw no call: $(cat trace strace.err)"
assert_silent err

# The same in a joined run, for as long as that one says.
rm -f enough
cat >serving <<END
touch serves
while [ ! -e over ]; do sleep 0.05; done
END
"$SHMVISOR" run --tracer-wait 0 --serve socket -- bash serving 2>server.err &
server=$!
wait_until 30 test -e serves || fail "no server: $(cat server.err)"
sed -i 's/INT 1/INT 4/' session
timeout --kill-after=10 100 "$SHMVISOR" run --join socket --tracer-wait 30 -- bash session >out 2>err ||
  fail "beside a trace, joined: status $?, $(cat often out err strace.err)"
expect "beside a trace, joined" "0 failures" "$(cat often)"
touch over
wait "$server" || fail "the server: status $?, $(cat server.err)"
assert_silent server.err

assert_kernel_table_empty
