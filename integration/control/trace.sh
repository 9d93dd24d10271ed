#!/bin/bash
# trace and events tell of each call, run --trace of the first one too; and neither a full disk, a closed
# pipe nor a reader that stops is noticed by the command.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3
need ipcmk util-linux
need ipcrm util-linux

cat >"$scratch/calls.py" <<'EOS'
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmdt.argtypes = [ctypes.c_void_p]
for _ in range(int(sys.argv[1])):
    shmid = libc.shmget(0x77, ctypes.c_size_t(8192), 0o3640)
    address = libc.shmat(shmid, None, 0o10000)
    libc.shmdt(address)
    libc.shmget(0x78, ctypes.c_size_t(1 << 30), 0o1600)
    libc.shmctl(shmid, 0, None)
EOS
lines_of_calls() {
  sed -E 's/pid [0-9]+/pid N/; s/0x7[0-9a-f]{11}/ADDRESS/g; s/<[0-9.]+>( |$)/T\1/; s/ = \? <mapped by the caller> T/ = ADDRESS T/' "$1"
}
cat >"$scratch/wanted" <<'EOS'
[pid N<python3>] shmget(0x77, 8192, IPC_CREAT|IPC_EXCL|0640) = 0 T
[pid N<python3>] shmat(0, NULL, SHM_RDONLY) = ADDRESS T
[pid N<python3>] shmdt(ADDRESS) = 0 T
[pid N<python3>] shmget(0x78, 1073741824, IPC_CREAT|0600) = -1 EINVAL (Invalid argument) T [1073741824 bytes are more than shmmax, 1048576]
[pid N<python3>] shmctl(0, IPC_RMID, NULL) = 0 T
EOS

heading "run --trace=FILE, from the first call to the last"
timeout 60 "$SHMVISOR" run --shmmax 1M --trace="$scratch/trace" -- python3 "$scratch/calls.py" 1 2>"$scratch/log"
expect "exit status" 0 $?
assert_silent "$scratch/log"
expect "the trace" "$(cat "$scratch/wanted")" "$(lines_of_calls "$scratch/trace")"

heading "run --trace, on standard error, with the command's own status"
timeout 60 "$SHMVISOR" run --shmmax 1M --trace -- sh -c "python3 '$scratch/calls.py' 1; echo out; exit 7" \
  >"$scratch/out" 2>"$scratch/err"
expect "exit status" 7 $?
expect "standard output" out "$(cat "$scratch/out")"
expect "the trace" "$(cat "$scratch/wanted")" "$(lines_of_calls "$scratch/err")"

heading "no file, where none can be made; and switched off"
for option in --trace --report; do
  (cd /proc && exec timeout --kill-after=10 60 "$SHMVISOR" run $option -- python3 "$scratch/calls.py" 1) 2>"$scratch/log"
  expect "exit status of $option in /proc" 0 $?
  grep -q shmget "$scratch/log" || fail "$option in /proc: $(cat "$scratch/log")"
done
mkdir "$scratch/off"
printf '[run]\ntrace = false\nreport = false\n' >"$scratch/off/toml"
for word in false 0 no off; do
  (cd "$scratch/off" && SHMVISOR_TRACE=$word SHMVISOR_REPORT=$word timeout --kill-after=10 60 "$SHMVISOR" run -- \
    python3 "$scratch/calls.py" 1) 2>"$scratch/log"
  expect "exit status of SHMVISOR_TRACE=$word" 0 $?
  assert_silent "$scratch/log"
done
(cd "$scratch/off" && timeout --kill-after=10 60 "$SHMVISOR" run --config toml -- python3 "$scratch/calls.py" 1) 2>"$scratch/log"
expect "exit status with trace = false" 0 $?
assert_silent "$scratch/log"
"$SHMVISOR" config show run --config "$scratch/off/toml" | grep -q '^trace = false' || fail "config show"
expect "files" toml "$(ls "$scratch/off")"

heading "the words are those of strace"
cat >"$scratch/kinds.py" <<'END'
import ctypes
c = ctypes.CDLL(None)
b = ctypes.create_string_buffer(256)
id = c.shmget(0x77, 5000, 0o1640)
at = c.shmat(id, None, 0)
for command in (2, 13, 15):  # IPC_STAT, SHM_STAT, SHM_STAT_ANY
    c.shmctl(id if command == 2 else 0, command, b)
c.shmctl(id, 1, b)  # IPC_SET
for command in (3, 14, 99):  # IPC_INFO, SHM_INFO
    c.shmctl(0, command, b)
c.shmctl(id, 11, None)  # SHM_LOCK
c.shmctl(id, 2, None)
c.shmctl(id, 1, 8)
for flags in (0x40000000, 0x54000000 | 0o4000, 0x100000 | 0o600, 0o3600):
    c.shmget(0x77, 0, flags)
for flags in (0x100000, 0x101000, 0o20000):
    c.shmat(id, 0x1001, flags)
other = c.shmget(0x8a000077, 100, 0o1600)
c.shmctl(other, 2, b)
for at, byte in enumerate(b"\xff\xff\xff\xff"):  # ipc_perm.uid: -1
    b[4 + at] = byte
c.shmctl(other, 1, b)
c.shmctl(other, 0, None)
c.shmctl(id, 0, None)
c.shmctl(id, 2, b)
c.shmdt(8)
END
# normal FILE: without numbers that differ from run to run.
normal() {
  sed -nE 's/^\[pid [0-9]+<[^>]*>\] //; s/ \[.*\]$//; s/ <[0-9.]+>$//; s/ +=( [^=]*)$/ =\1/
    s/(shm_[cl]pid|shm_[acd]time)=[0-9]+/\1=N/g; s/0x[5-7][0-9a-f]{8,}/ADDRESS/g; /^shm/p' "$1"
}
if strace true 2>"$scratch/log"; then
  unshare --ipc strace -e trace=shmget,shmat,shmctl,shmdt -o "$scratch/native" python3 "$scratch/kinds.py" || fail strace
  timeout --kill-after=10 60 "$SHMVISOR" run --trace="$scratch/ours" -- python3 "$scratch/kinds.py" || fail "run --trace"
  diff -u <(normal "$scratch/native") <(normal "$scratch/ours") || fail "the words differ"
  expect "calls" 26 "$(normal "$scratch/ours" | wc -l)"
else
  echo "left out: strace does not run here: $(cat "$scratch/log")"
fi

heading "a caller that may not be traced"
timeout --kill-after=10 60 setpriv --reuid 12345 --regid 12345 --clear-groups --inh-caps=-all "$SHMVISOR" run --trace \
  --report -- python3 -c 'import ctypes
c = ctypes.CDLL(None, use_errno=True)
id = c.shmget(0, 4096, 0o600)
c.prctl(4, 0, 0, 0, 0)
c.shmat(id, None, 0)
c.shmctl(id, 2, ctypes.create_string_buffer(256))' 2>"$scratch/log"
grep -q 'shmat(.*EACCES.*\[shmvisor may not trace it' "$scratch/log" || fail "no reason: $(cat "$scratch/log")"
grep -q '^refused by: tracing 2' "$scratch/log" || fail "no count: $(cat "$scratch/log")"

heading "trace and events of a run that goes on"
start_run web --no-linger --shmmax 1M -- sh -c \
  "while ! test -e '$scratch/go'; do sleep 0.05; done; python3 '$scratch/calls.py' 1; ipcmk -M 4096; exec sleep 1000"
client trace -o "$scratch/trace" &
tracer=$!
client events >"$scratch/events" &
events=$!
client events --json -o "$scratch/events.json" &
sockets() { find "/proc/$run/fd" -lname 'socket:*' | wc -l; }
all_there() { [ "$(sockets)" -ge 4 ]; }
wait_until 20 all_there || fail "the followers do not come"
sleep 0.2
touch "$scratch/go"
told() { grep -q ipcmk "$scratch/events"; }
wait_until 20 told || fail "no event of ipcmk: $(cat "$scratch/events")"
expect "the trace" "$(cat "$scratch/wanted")" "$(head -5 "$scratch/trace" | lines_of_calls /dev/stdin)"
expect "the events" "create attach detach refusal remove create" \
  "$(awk '{ printf "%s%s", separator, $2; separator = " " }' "$scratch/events")"
grep -qE '^[0-9-]+T[0-9:.]+\+[0-9]+ create shmid=0 key=0x00000077 bytes=8192 pid=[0-9]+ command=python3 uid=0 registry=main$' \
  "$scratch/events" || fail "the event is another: $(head -1 "$scratch/events")"
grep -qE ' refusal key=0x00000078 bytes=1073741824 .* call=shmget errno=EINVAL because="1073741824 bytes are more than shmmax, 1048576"$' \
  "$scratch/events" || fail "the refusal is another: $(cat "$scratch/events")"
wait_until 20 grep -q ipcmk "$scratch/events.json" || fail "no event as JSON"
python3 -c 'import json, sys
kinds = [json.loads(line)["event"] for line in sys.stdin]
sys.exit(kinds != ["create", "attach", "detach", "refusal", "remove", "create"])' <"$scratch/events.json" ||
  fail "the JSON is another: $(cat "$scratch/events.json")"
kill "$run"
wait "$tracer" || fail "the tracer does not end well with the run"
wait "$events" || fail "who follows events does not end well with the run"
wait "$run"

heading "a reader that ends while nobody calls"
start_run quiet --no-linger -- sh -c \
  "while ! test -e '$scratch/read'; do ipcmk -M 4096; sleep 0.05; done; touch '$scratch/quiet'; exec sleep 1000"
{
  client trace --name quiet
  echo "status $?" >"$scratch/ended"
} | {
  read -r line
  touch "$scratch/read"
  wait_until 20 test -e "$scratch/quiet"
  grep -q ipcmk <<<"$line" && touch "$scratch/traced"
}
[ -e "$scratch/traced" ] || fail "no call is traced"
expect "the client, which ends before the next call" "status 0" "$(cat "$scratch/ended")"
kill "$run"
wait "$run"

heading "readers that fail"
many=300
bounded() { timeout --kill-after=10 60 "$@"; }
bounded "$SHMVISOR" run --trace=/dev/full -- python3 "$scratch/calls.py" $many 2>"$scratch/log"
expect "exit status with a full disk" 0 $?
expect "how often the full disk is told of" 1 "$(grep -c "cannot write" "$scratch/log")"
bounded "$SHMVISOR" run --trace=/nowhere/x -- touch "$scratch/ran" 2>"$scratch/log"
expect "exit status without a file" 125 $?
grep -q "cannot write '/nowhere/x': No such file" "$scratch/log" || fail "nobody tells: $(cat "$scratch/log")"
[ ! -e "$scratch/ran" ] || fail "the command ran without a trace"
bounded "$SHMVISOR" run --trace -- python3 "$scratch/calls.py" $many 2>&1 | true
expect "exit status with a closed pipe" 0 "${PIPESTATUS[0]}"
mkfifo "$scratch/stuck"
# open_stuck: descriptor 9 reads it, so far as anybody does.
open_stuck() {
  exec 8<>"$scratch/stuck"
  exec 9<"$scratch/stuck"
  exec 8>&-
}
# Empties it first; EOF is there when no process has it open for writing.
nobody_writes() {
  python3 -c 'import os, sys
os.set_blocking(9, False)
try:
    while os.read(9, 1 << 16):
        pass
except BlockingIOError:
    sys.exit(1)'
}
open_stuck
bounded "$SHMVISOR" run --trace="$scratch/stuck" -- python3 "$scratch/calls.py" 3000 2>"$scratch/log"
expect "exit status with a reader that stops" 0 $?
nobody_writes || fail "who was to write the trace is still there"
grep -q -e "--trace: what it writes to takes nothing" "$scratch/log" || fail "nobody tells: $(cat "$scratch/log")"
bounded "$SHMVISOR" run --trace="$scratch/stuck" -- sh -c "python3 '$scratch/calls.py' 3000; kill -KILL \$PPID" \
  2>"$scratch/log"
expect "exit status when it is killed" 137 $?
wait_until 20 nobody_writes || fail "who was to write the trace outlives its run"
exec 9>&-

heading "a disk that is full for a while, and one that stays so"
mkdir "$scratch/small"
mount -t tmpfs -o size=16k none "$scratch/small" || fail "no small disk"
# accounted TRACE LAST: whole lines, which tell of each of 510 calls, or of how many are missing; the last of LAST.
accounted() {
  python3 - "$1" "$2" <<'EOS' || fail "$1 tells another number: $(tail -n 3 "$1")"
import re, sys
text = open(sys.argv[1]).read()
lines = text.split("\n")
lost = [int(one.split()[2]) for one in lines if one.startswith("+++ lost ")]
calls = [one for one in lines if re.fullmatch(r"\[pid \d+<python3>\] shm.* <[0-9.]+>( \[.*\])?", one)]
assert lines[-1] == "" and len(lost) + len(calls) == len(lines) - 1, lines
assert lost and len(calls) > 50 and len(calls) + sum(lost) == 510, (len(calls), lost)
assert sys.argv[2] in lines[-2], lines[-2]
EOS
}
head -c 8192 /dev/zero >"$scratch/small/filler"
bounded "$SHMVISOR" run --shmmax 1M --trace="$scratch/small/trace" -- sh -c "python3 '$scratch/calls.py' 100
  touch '$scratch/hundred'; while [ ! -e '$scratch/room' ]; do sleep 0.05; done; python3 '$scratch/calls.py' 2" 2>"$scratch/log" &
running=$!
wait_until 50 test -e "$scratch/hundred" || fail "a full disk keeps the command: $(cat "$scratch/log")"
wait_until 20 grep -q "No space left on device; calls are left out until there is room" "$scratch/log" ||
  fail "nobody tells of the full disk: $(cat "$scratch/log")"
rm "$scratch/small/filler"
sleep 1.2 # by then it tries again
touch "$scratch/room"
wait "$running"
expect "exit status" 0 $?
# Once, or again where the trace is so far behind that it is full a second time.
expect "lines that tell of anything else" 0 "$(grep -vc "No space left on device; calls are left out until there is room" "$scratch/log")"
accounted "$scratch/small/trace" "IPC_RMID"
rm "$scratch/small/trace"
bounded "$SHMVISOR" run --shmmax 1M --trace="$scratch/small/trace" -- python3 "$scratch/calls.py" 300 2>"$scratch/log"
expect "exit status" 0 $?
missing=$(sed -nE "s/.*cannot write to .*: there is no room; the last ([0-9]+) calls? (is|are) not in it$/\1/p" "$scratch/log")
lost=$(sed -nE 's/^\+\+\+ lost ([0-9]+) calls? \+\+\+$/\1/p' "$scratch/small/trace" | paste -sd+)
expect "calls in the file and calls that are missing" 1500 \
  "$(($(grep -c '^\[pid ' "$scratch/small/trace") + ${lost:-0} + ${missing:-0}))"
expect "the last byte of the file" "" "$(tail -c 1 "$scratch/small/trace")"
umount "$scratch/small"

heading "a pipe that is full"
mkfifo "$scratch/full"
exec 9<>"$scratch/full"
timeout 1 dd if=/dev/zero of="$scratch/full" bs=65536 2>"$scratch/log"
bounded "$SHMVISOR" run --trace -- python3 "$scratch/calls.py" 1 2>&9
expect "exit status of --trace" 0 $?
bounded "$SHMVISOR" run --report="$scratch/full" -- true 2>"$scratch/log"
expect "exit status of --report" 0 $?
grep -q -e "--report: it takes too long" "$scratch/log" || fail "nobody tells: $(cat "$scratch/log")"
exec 9>&-

heading "a FIFO that nobody reads"
mkfifo "$scratch/nobody"
for option in --trace --report; do
  bounded "$SHMVISOR" run "$option=$scratch/nobody" -- python3 "$scratch/calls.py" 1 2>"$scratch/log"
  expect "exit status of $option" 0 $?
  grep -q "nobody reads $scratch/nobody" "$scratch/log" || fail "nobody tells: $(cat "$scratch/log")"
  # A process that waits to open it for writing would let this open it too.
  timeout 2 cat "$scratch/nobody"
  expect "status of a reader that finds no writer" 124 $?
done
assert_kernel_table_empty
