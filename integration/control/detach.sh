#!/bin/bash
# detach takes a segment out of processes that did not ask for it: what they see then, and the segment's counts and
# stamps, are those of a shmdt. Processes that cannot be stopped are named, and keep nobody waiting.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3
need strace strace

# worker.py FOLDER NAME: attaches segment 0x77 twice, has a child with the same, and waits for FOLDER/NAME.look. Then it
# tells what an access raises, what shmdt answers, and whether it can attach again.
cat >"$scratch/worker.py" <<'EOS'
import ctypes, errno, os, signal, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
folder, name = sys.argv[1:]
def wait_for(what):
    while not os.path.exists(folder + "/" + what):
        time.sleep(0.02)
def raised(address, write):
    child = os.fork()
    if child == 0:
        import faulthandler, resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ctypes.memset(address, 66, 1) if write else ctypes.string_at(address, 1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "nothing"
shmid = libc.shmget(0x77, ctypes.c_size_t(8 * 4096), 0o1600)
first = libc.shmat(shmid, None, 0)
second = libc.shmat(shmid, None, 0o10000)
ctypes.memset(first, 65, 10)
# The middle of the first is the program's own.
assert libc.munmap(ctypes.c_void_p(first + 4096), ctypes.c_size_t(4096)) == 0
threading.Thread(target=lambda: wait_for("over"), daemon=True).start()
child = os.fork()
open("%s/%s.%s" % (folder, name, "parent" if child else "child"), "w").close()
if child == 0:
    name += "_child"
wait_for(name + ".look")
told = [raised(first, True), raised(first + 7 * 4096, False), raised(second, False)]
assert libc.shmdt(ctypes.c_void_p(first)) == -1
told.append(errno.errorcode[ctypes.get_errno()])
again = libc.shmat(shmid, None, 0)
told.append(ctypes.string_at(again, 2).decode())
libc.shmdt(ctypes.c_void_p(again))
with open("%s/%s.part" % (folder, name), "w") as file:
    print(*told, file=file)
os.rename("%s/%s.part" % (folder, name), "%s/%s.told" % (folder, name))
wait_for("over")
EOS
cat >"$scratch/all.sh" <<'EOS'
python3 "$1/worker.py" "$1" one &
echo $! >"$1/one.pid"
while ! [ -e "$1/one.child" ] || ! [ -e "$1/one.parent" ]; do sleep 0.05; done
python3 "$1/worker.py" "$1" two &
echo $! >"$1/two.pid"
while ! [ -e "$1/two.child" ] || ! [ -e "$1/two.parent" ]; do sleep 0.05; done
touch "$1/ready"
wait
EOS
start_run db -v -- bash "$scratch/all.sh" "$scratch"
wait_until 30 test -e "$scratch/ready" || fail "the command does not come so far: $(cat "$scratch/db.log" "$scratch/db.out")"
nattch() { client ls --json | python3 -c 'import json, sys
print([s["nattch"] for s in json.load(sys.stdin)["segments"]][0])'; }
field() { client ls --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["segments"][0][sys.argv[1]])' "$1"; }
looked() {
  touch "$scratch/$1.look"
  wait_until 20 test -e "$scratch/$1.told" || fail "$1 does not tell: $(cat "$scratch/db.log")"
  cat "$scratch/$1.told"
}
expect "attaches of four processes" 12 "$(nattch)"

heading "one process"
one=$(cat "$scratch/one.pid")
[ "$(field lpid)" != "$one" ] || fail "it was the last one before"
before=$(date +%s)
client detach 0 --process "$one" --signal SIGBUS >"$scratch/told" || fail "detach ends with $?"
expect "what it tells" "pid ranges bytes" "$(head -1 "$scratch/told" | xargs)"
expect "two parts of the first, and the second" "$one 3 61440" "$(tail -1 "$scratch/told" | xargs)"
expect "attaches" 9 "$(nattch)"
expect "last process" "$one" "$(field lpid)"
[ "$(field dtime)" -ge "$before" ] || fail "no time of a detach"
expect "what it sees" "SIGBUS SIGBUS SIGBUS EINVAL AA" "$(looked one)"
said 1 "process $one does not map segment 0" client detach 0 --process "$one"
said 1 "process 1 is none of its own" client detach 0 --process 1
grep -q "a control client detaches segment 0 of main from 1 processes, and not from 0" "$scratch/db.log" ||
  fail "the log does not tell"

heading "one that is traced"
two=$(cat "$scratch/two.pid")
strace -qq -e trace=none -o /dev/null -p "$two" &
tracer=$!
wait_until 10 sh -c '! grep -q "^TracerPid:.0$" /proc/$1/status' - "$two" || fail "strace does not trace"
began=$(date +%s)
said 1 "segment 0 stays in some processes: process $two: another tracer has it" client detach 0
[ $(($(date +%s) - began)) -le 15 ] || fail "it takes too long"
kill "$tracer"
wait "$tracer" 2>/dev/null
expect "the others have lost it" 3 "$(nattch)"
expect "its child" "SIGSEGV SIGSEGV SIGSEGV EINVAL AA" "$(looked one_child)"

heading "all"
client detach 0 --json >"$scratch/told" || fail "detach ends with $?"
python3 -c 'import json, sys
told = json.load(open(sys.argv[1]))
assert [one["pid"] for one in told["processes"]] == [int(sys.argv[2])] and told["failed"] == [], told' \
  "$scratch/told" "$two" || fail "another: $(cat "$scratch/told")"
expect "attaches" 0 "$(nattch)"
expect "what it sees" "SIGSEGV SIGSEGV SIGSEGV EINVAL AA" "$(looked two)"
expect "nothing more to do" "" "$(client detach 0)"
said 1 "has no segment 7$" client detach 7
said 125 "" client detach 0 --signal SIGHUP

heading "the last mapping of a removed segment"
cat >"$scratch/last.py" <<'EOS'
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
shmid = libc.shmget(0, ctypes.c_size_t(4096), 0o600)
address = libc.shmat(shmid, None, 0)
libc.shmctl(shmid, 0, None)
open(sys.argv[1] + "/last", "w").write(str(shmid))
while not os.path.exists(sys.argv[1] + "/over"):
    time.sleep(0.02)
EOS
start_run last -- python3 "$scratch/last.py" "$scratch"
last=$run
wait_until 20 test -s "$scratch/last" || fail "it does not begin"
client detach --name last "$(cat "$scratch/last")" >/dev/null || fail "detach ends with $?"
wait_until 10 sh -c '[ -z "$("$1" ls -q --name last)" ]' - "$SHMVISOR" || fail "it stays: $(client ls --name last)"
touch "$scratch/over"
wait "$last"
expect "the command's exit status" 0 $?
assert_kernel_table_empty
