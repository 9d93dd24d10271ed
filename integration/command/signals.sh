#!/bin/bash
# Signals sent to shmvisor reach the command.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd

got() { [ "$(grep -cFx -- "$1" out)" = "$2" ]; }

not_passed_on=' 9 12 17 19 21 22 32 33 '
# A sanitizer keeps those of faults.
[ -z "${SHMVISOR_SANITIZED:-}" ] || not_passed_on+='4 5 6 7 8 11 31 '

# forwarded PREFIX...: starts the command and sends everything once.
forwarded() {
  : >out
  "$@" "$SHMVISOR" run -- "$programs/command_signal_log" >out 2>err </dev/null &
  local shmvisor=$!
  wait_until 30 got ready 1 || fail "the command did not start: $(cat out err)"
  # All but: those that nobody can catch, those that tell of a process's own use of the terminal, SIGCHLD, which is ours,
  # SIGUSR2, which ends this, and the two that the C library keeps to itself.
  local number
  for number in {1..64}; do
    [[ $not_passed_on == *" $number "* ]] && continue
    kill -s "$number" "$shmvisor" || fail "shmvisor is gone"
    wait_until 30 got "signal $number" 1 || fail "signal $number did not come: $(cat out)"
  done
  # These two stay with us; that they would have come is shown by the next one.
  kill -s TTIN "$shmvisor" && kill -s TTOU "$shmvisor" || fail "shmvisor is gone"
  # And again: a signal is forwarded each time.
  kill -s TERM "$shmvisor"
  wait_until 30 got 'signal 15' 2 || fail "the second SIGTERM did not come: $(cat out)"
  ! grep -Ex 'signal (21|22)' out || fail "SIGTTIN or SIGTTOU was passed on: $(cat out)"
  kill -s USR2 "$shmvisor"
  wait "$shmvisor"
  expect "exit status" 42 $?
  assert_silent err
}
# A shell without job control starts background jobs with SIGINT and SIGQUIT ignored.
forwarded env --default-signal
forwarded env

# A command that does not handle a signal ends by it, and so the status says.
for signal in TERM HUP USR1; do
  "$SHMVISOR" run -- sleep 1000 2>err &
  shmvisor=$!
  wait_until 30 pgrep -x sleep || fail "the command did not start"
  kill -s "$signal" "$shmvisor"
  wait "$shmvisor"
  status=$?
  expect "SIG$signal" $((128 + $(kill -l "$signal"))) "$status"
  pgrep -x sleep >/dev/null && fail "the command lives on"
done

# A signal of sigqueue(3) says who sent it, natively beside supervised.
cat >queued.py <<'END'
import ctypes, os, subprocess, sys
received = """import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [40])
print("ready", flush=True)
got = signal.sigwaitinfo([40])
print("code", got.si_code, "sender", "as it was" if got.si_pid == int(sys.argv[1]) else "another", "uid", got.si_uid)"""
command = subprocess.Popen(sys.argv[1:] + ["/usr/bin/python3", "-c", received, str(os.getpid())], stdout=subprocess.PIPE, text=True)
command.stdout.readline()
ctypes.CDLL(None).sigqueue(command.pid, 40, ctypes.c_void_p(77))
print(command.communicate(timeout=60)[0], end="")
END
timeout 100 /usr/bin/python3 queued.py >native 2>err || fail "sigqueue natively: $(cat err)"
timeout 100 /usr/bin/python3 queued.py "$SHMVISOR" run -- >supervised 2>err || fail "sigqueue: $(cat err)"
expect "sigqueue" 'code -1 sender as it was uid 0' "$(cat native)"
diff -u native supervised || fail "sigqueue"

# SIGKILL cannot be forwarded. With --no-kill the command lives on, and its next call ends instead of waiting.
cat >session <<'END'
echo $$ >pid
while [ ! -e go ]; do sleep 0.05; done
ipcmk -M 4096 >after 2>&1
echo "status $?" >>after
END
"$SHMVISOR" run --no-kill -- bash session 2>err &
shmvisor=$!
wait_until 30 test -s pid || fail "the command did not start"
kill -KILL "$shmvisor"
wait "$shmvisor" 2>/dev/null
touch go
if wait_until 2 kill -0 "$(cat pid)"; then
  wait_until 30 grep -q status after || ! kill -0 "$(cat pid)" 2>/dev/null || fail "a call hangs after shmvisor was killed"
fi
assert_kernel_table_empty
