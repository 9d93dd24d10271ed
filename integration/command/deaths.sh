#!/bin/bash
# What ends with what: the command with shmvisor, unless --no-kill; shmvisor with its parent, where --die-with-parent
# asks for it.
. "$(dirname "$0")/../lib.sh" || exit 1
[ -x /usr/bin/python3 ] || skip "/usr/bin/python3 is missing (Debian package python3)"
programs=$1
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd

# command_of FILE: waits for the pid that a command wrote there.
command_of() {
  wait_until 30 test -s "$1" || fail "the command did not start: $(cat ./*.err)"
  cat "$1"
}
gone() { ! kill -0 "$1" 2>/dev/null; }
alive() { kill -0 "$1" 2>/dev/null; }
# shellcheck disable=SC2016
command='echo $$ >pid; exec sleep 1000'

heading "killed by its parent, as subprocess.run(timeout=) and timeout(1) do"
cat >session.py <<'END'
import subprocess, sys
try:
    subprocess.run(sys.argv[1:] + ["sh", "-c", "echo $$ >pid; exec sleep 1000"], timeout=3)
except subprocess.TimeoutExpired:
    print("timed out")
END
for prefix in "" "$SHMVISOR run --"; do
  rm -f pid
  # shellcheck disable=SC2086
  expect "subprocess.run" "timed out" "$(timeout 60 /usr/bin/python3 session.py $prefix 2>python.err)"
  wait_until 10 gone "$(cat pid)" || fail "'$prefix': the program runs on"
  rm -f pid
  # shellcheck disable=SC2086
  timeout --foreground -s KILL 3 $prefix sh -c "$command" 2>timeout.err
  expect "timeout" 137 $?
  wait_until 10 gone "$(cat pid)" || fail "'$prefix': the program runs on after timeout"
done

heading "--no-kill"
rm -f pid
# shellcheck disable=SC2016
"$SHMVISOR" run --no-kill -- sh -c 'echo $$ >pid; while [ ! -e go ]; do sleep 0.05; done; "$0" >after 2>&1; echo end >>after' \
  "$programs/command_attach_once" 2>no_kill.err &
shmvisor=$!
pid=$(command_of pid)
kill -KILL "$shmvisor"
wait "$shmvisor" 2>/dev/null
alive "$pid" || fail "--no-kill: the command is gone"
touch go
wait_until 30 grep -qx end after || fail "--no-kill: a call hangs: $(cat after)"
grep -q 'shmget = ENOSYS' after || fail "--no-kill: $(cat after)"

heading "joined runs"
rm -f pid
"$SHMVISOR" run --serve socket -- sleep 1000 2>server.err &
server=$!
wait_until 30 test -S socket || fail "no server: $(cat server.err)"
"$SHMVISOR" run --join socket -- sh -c "$command" 2>joined.err &
joined=$!
pid=$(command_of pid)
kill -KILL "$joined"
wait "$joined" 2>/dev/null
wait_until 10 gone "$pid" || fail "a joined command outlives its shmvisor"
kill -KILL "$server"
wait "$server" 2>/dev/null

heading "--die-with-parent"
for option in "" --die-with-parent; do
  rm -f pid shmvisor
  # shellcheck disable=SC2016
  sh -c '"$0" run $1 -- sh -c "$2" 2>parent.err & echo $! >shmvisor; wait' "$SHMVISOR" "$option" "$command" &
  parent=$!
  pid=$(command_of pid)
  kill -KILL "$parent"
  wait "$parent" 2>/dev/null
  if [ -n "$option" ]; then
    wait_until 10 gone "$pid" || fail "$option: the command lives on"
    wait_until 10 gone "$(cat shmvisor)" || fail "$option: shmvisor lives on"
  else
    sleep 0.3
    alive "$pid" || fail "the command ended with the parent of shmvisor, which nobody asked for"
    kill -KILL "$(cat shmvisor)"
    wait_until 10 gone "$pid" || fail "the command lives on"
  fi
done
timeout 60 "$SHMVISOR" run --die-with-parent --no-kill -- true 2>both.err
expect "--die-with-parent with --no-kill" 125 $?

heading "--die-with-parent counts the parent's process, not the thread that started it"
rm -f pid
cat >threads.py <<'END'
import subprocess, sys, threading, time
started = []
def start():
    started.append(subprocess.Popen(sys.argv[1:]))
    while not __import__("os").path.exists("pid"):
        time.sleep(0.01)
thread = threading.Thread(target=start)
thread.start()
thread.join()
time.sleep(0.5)
print("running" if started[0].poll() is None else "ended")
sys.stdout.flush()
END
expect "after the thread's end" running \
  "$(timeout 60 /usr/bin/python3 threads.py "$SHMVISOR" run --die-with-parent -- sh -c "$command" 2>threads.err)"
wait_until 10 gone "$(cat pid)" || fail "the command lives on after its parent's end"

heading "--die-with-parent where the parent is in another pid namespace"
rm -f pid
unshare --pid --fork --mount-proc "$SHMVISOR" run --die-with-parent -- sh -c 'echo started >pid; exec sleep 1000' 2>outside.err &
parent=$!
command_of pid >/dev/null
kill -KILL "$parent"
wait "$parent" 2>/dev/null
nobody_sleeps() { ! pgrep -x sleep; }
wait_until 10 nobody_sleeps || fail "outside: $(ps -ef)"
assert_kernel_table_empty
