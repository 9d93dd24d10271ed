#!/bin/bash
# rm and set change a run from outside, by the rules of IPC_RMID and of kernel.shm*; report tells what calls
# added up to and which segments nobody removed.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3
need ipcmk util-linux

cat >"$scratch/steered.py" <<'EOS'
import ctypes, os, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
folder = sys.argv[1]
def wait_for(name):
    while not os.path.exists(folder + "/" + name):
        time.sleep(0.02)
kept = libc.shmget(0x77, ctypes.c_size_t(4096), 0o1600)
address = libc.shmat(kept, None, 0)
ctypes.memset(address, 65, 10)
plain = libc.shmget(0x78, ctypes.c_size_t(4096), 0o1600)
subprocess.run(["ipcmk", "-M", "8192"], stdout=subprocess.DEVNULL)
open(folder + "/ready", "w").close()
wait_for("removed")
assert ctypes.string_at(address, 2) == b"AA"
assert libc.shmget(0x77, ctypes.c_size_t(4096), 0) == -1 and ctypes.get_errno() == 2
open(folder + "/checked", "w").close()
wait_for("limited")
assert libc.shmget(0, ctypes.c_size_t(8192), 0o1600) == -1 and ctypes.get_errno() == 22
left = libc.shmget(0x99, ctypes.c_size_t(100), 0o1600)
assert left != -1
open(folder + "/told", "w").close()
wait_for("over")
EOS
start_run web --shmmni 9 -v -- python3 "$scratch/steered.py" "$scratch"
wait_until 20 test -e "$scratch/ready" || fail "the command does not come so far: $(cat "$scratch/web.log")"
expect "segments" "$(printf '0\n1\n2')" "$(client ls -q)"

client events >"$scratch/events" &
client events --json -o "$scratch/events.json" &
events=$!
followed() { [ "$(grep -c . "$scratch/events.json")" -ge 1 ] && [ -s "$scratch/events" ]; }
seen_both() {
  client load --key 0x70 </dev/null >/dev/null 2>&1
  client set --shmmni 9
  followed
}
wait_until 20 seen_both || fail "events tell of no act of a client's"

heading "rm"
expect "orphans are those of ended processes that nobody maps" 2 "$(client rm --orphans)"
expect "one by its key" 1 "$(client rm --key 0x78)"
said 1 "has no segment 4711; it has no segment 4712; removed: 0$" client rm 4711 0 4712
expect "one that is mapped" 0 "$(cat "$scratch/said.out")"
grep -qE '^0x00000000 0 .* 1 dest' <(client ls | squeezed) || fail "it is not shown as removed: $(client ls)"
said 1 "has no segment 1$" client rm 1
said 1 "has no segment with this key" client rm --key 0x78
said 125 "" client rm
said 125 "" client rm --all 0
touch "$scratch/removed"
wait_until 20 test -e "$scratch/checked" || fail "the command sees something else: $(cat "$scratch/web.log")"
grep -q "a control client removes segment 0 of main" "$scratch/web.log" || fail "the log does not tell"

grep -qE ' act remove registry=main shmid=0 by_pid=[0-9]+ by_uid=0 by_command=shmvisor result=ok$' "$scratch/events" ||
  fail "events do not tell of rm: $(cat "$scratch/events")"
python3 -c 'import json, sys
acts = [json.loads(line) for line in sys.stdin]
assert {"remove", "set"} <= {act["act"] for act in acts if act["event"] == "act"}, acts
assert {(act["shmid"], act["result"]) for act in acts if act.get("act") == "remove"} >= {(0, "ok"), (1, "ok")}, acts' \
  <"$scratch/events.json" || fail "the JSON of acts is another"
kill %2 "$events" 2>/dev/null

heading "set"
expect "what is set" "" "$(client set --shmmax 4K --shmmni 5)"
expect "limits" "5 4" "$(client limits | awk '/max number/ { number = $NF } /max seg/ { size = $NF } END { print number, size }')"
said 125 "give at least one of --shmmax SIZE, --shmall PAGES and --shmmni NUMBER" client set
expect "what is set beside a variable" "" "$(SHMVISOR_SHMMAX=9M client set --shmmni 5)"
expect "shmmax, which is not taken from the environment" 4 "$(client limits | awk '/max seg/ { print $NF }')"
said 125 "'99999' is no number up to 32768" client set --shmmni 99999
said 125 "'1X' is no whole number from 0 to 18446744073709551615, alone or with K, M, G or T" client set --shmmax 1X
said 1 "has no registry 'x'" client set --registry x --shmmni 1
touch "$scratch/limited"
wait_until 20 test -e "$scratch/told" || fail "the command is not limited: $(cat "$scratch/web.log")"

heading "report"
client report >"$scratch/report"
grep -qE '^shmget +6 +2$' "$scratch/report" || fail "not the calls that were made: $(cat "$scratch/report")"
grep -qE '^refused by: shmmax 1$' "$scratch/report" || fail "not what was refused: $(cat "$scratch/report")"
grep -qE '^slowest: shm[a-z]+ of process [0-9]+, 0\.[0-9]+ s$' "$scratch/report" || fail "no slowest call"
grep -qE '^registry main: at most 3 segments, 16384 bytes$' "$scratch/report" || fail "not the peak: $(cat "$scratch/report")"
grep -qE '^  left: shmid [0-9]+, key 0x00000099, 100 bytes, nattch 0, made by process [0-9]+ \(python3\) of root$' \
  "$scratch/report" || fail "not what is left: $(cat "$scratch/report")"
python3 -c 'import json, sys
report = json.load(sys.stdin)
assert report["calls"]["shmget"] == {"calls": 6, "errors": 2}, report
left = report["registries"][0]["left"][-1]
assert left["command"] == "python3" and left["inode"] > 0 and left["device"] > 0, report' < <(client report --json) ||
  fail "the JSON is another"
expect "all but what is removed already" 3 "$(client rm --all)"
touch "$scratch/over"
wait "$run"
expect "the command's exit status" 0 $?

heading "run --report"
timeout 60 "$SHMVISOR" run --shmmax 1M --report="$scratch/report" -- \
  sh -c 'ipcmk -M 4096; ipcmk -M 2097152; exit 3' >/dev/null 2>"$scratch/log"
expect "exit status" 3 $?
grep -qE '^shmget +2 +1$' "$scratch/report" || fail "not the calls: $(cat "$scratch/report")"
grep -qE '^  left: shmid 0, .* 4096 bytes, .* \(ipcmk\) of root$' "$scratch/report" || fail "no leak: $(cat "$scratch/report")"
timeout 60 "$SHMVISOR" run --report --trace -- true 2>"$scratch/log"
expect "exit status" 0 $?
grep -qE '^shmget +0 +0$' "$scratch/log" || fail "no report on standard error: $(cat "$scratch/log")"
said 125 "cannot write '/nowhere/x': No such file or directory" \
  "$SHMVISOR" run --report=/nowhere/x -- touch "$scratch/ran"
[ ! -e "$scratch/ran" ] || fail "the command ran all the same"
assert_kernel_table_empty
