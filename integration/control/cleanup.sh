#!/bin/bash
# --cleanup: what killed processes leave behind while the run goes on stays, goes as with kernel.shm_rmid_forced, or goes
# once its creator and last user have ended. The report names what went.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3

# user.py FOLDER NAME KEY: makes the segment, or finds it, attaches it, tells, and waits.
cat >"$scratch/user.py" <<'EOS'
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
folder, name, key = sys.argv[1], sys.argv[2], int(sys.argv[3], 0)
shmid = libc.shmget(key, ctypes.c_size_t(4096), 0o1600)
if name != "unmapped":
    libc.shmat(shmid, None, 0)
with open(folder + "/" + name, "w") as file:
    file.write("%d %d" % (os.getpid(), shmid))
while True:
    time.sleep(1)
EOS
# The command: starts a user for each file ask.NAME.KEY, and ends with over.
cat >"$scratch/command.sh" <<'EOS'
cd "$1"
touch up
while ! [ -e over ]; do
  for ask in ask.*; do
    [ -e "$ask" ] || continue
    name=${ask#ask.}
    rm "$ask"
    python3 "$1/user.py" "$1" "${name%.*}" "${name##*.}" &
  done
  sleep 0.05
done
kill -9 $(jobs -p) 2>/dev/null
wait
EOS
begin() {
  rm -f "$scratch"/{up,over,killed,living,unmapped,kept}
  start_run "$@" -v -- bash "$scratch/command.sh" "$scratch"
  wait_until 20 test -e "$scratch/up" || fail "the command does not begin"
}
user() {
  touch "$scratch/ask.$1.$2"
  wait_until 20 test -s "$scratch/$1" || fail "$1 does not begin: $(cat "$scratch"/*.log)"
}
pid_of() { cut -d ' ' -f 1 "$scratch/$1"; }
finish() {
  touch "$scratch/over"
  wait "$run"
}
# follow [OPTION...]: the events of the run, to $scratch/events.
follow() {
  rm -f "$scratch/events"
  timeout 120 "$SHMVISOR" events "$@" >"$scratch/events" 2>&1 &
  follower=$!
  # The first event shows that it follows.
  follows() { client set --shmall 1T && grep -q shmall "$scratch/events"; }
  wait_until 20 follows || fail "events does not follow: $(cat "$scratch/events")"
}
ids() { client ls -q | xargs; }
ids_are() { [ "$(ids)" = "$1" ]; }

heading "keep"
begin web
user killed 0x71
kill -9 "$(pid_of killed)"
sleep 3
expect "what a killed process leaves" 0 "$(ids)"
finish

heading "rmid-forced"
begin web --cleanup rmid-forced
follow --json
user killed 0x71
user living 0x72
kill -9 "$(pid_of killed)"
wait_until 10 ids_are 1 || fail "segments are $(ids)"
client report >"$scratch/report"
grep -qE "^  cleaned up: shmid 0, key 0x00000071, 4096 bytes, made by process $(pid_of killed) \(python3\) of root$" \
  "$scratch/report" || fail "the report does not name it: $(cat "$scratch/report")"
grep -q "^  left: shmid 1, " "$scratch/report" || fail "another is left: $(cat "$scratch/report")"
finish
wait "$follower"
# What lives on is killed with the command, and may go before the run ends.
expect "what events tell first" "0 0x00000071 4096 0 $(pid_of killed) main rmid-forced" "$(python3 -c 'import json, sys
for line in open(sys.argv[1]):
    one = json.loads(line)
    if one.get("event") == "cleanup":
        print(*[one[name] for name in ("shmid", "key", "segsz", "uid", "cpid", "registry", "by")])' "$scratch/events" | head -n 1)"

heading "orphaned"
begin web --cleanup orphaned
follow
user killed 0x71       # made by one that is killed, and mapped by nobody
user unmapped 0x73     # never mapped; its creator is killed
user living 0x72       # its creator is killed, and another maps it
touch "$scratch/ask.kept.0x72"
wait_until 20 test -s "$scratch/kept" || fail "kept does not begin"
expect "all" "0 1 2" "$(ids)"
sleep 3
expect "nothing goes while its users live" "0 1 2" "$(ids)"
echo text | "$SHMVISOR" load --key 0x74 >/dev/null || fail "load"
kill -9 "$(pid_of killed)" "$(pid_of unmapped)" "$(pid_of living)"
wait_until 10 ids_are "2 3" || fail "segments are $(ids)"
sleep 3
expect "what is mapped, or was loaded, stays" "2 3" "$(ids)"
client report >"$scratch/report"
expect "what the report names" "0x00000071 0x00000073" \
  "$(sed -nE 's/^  cleaned up: .*key (0x[0-9a-f]+),.*/\1/p' "$scratch/report" | sort | xargs)"
kill -9 "$(pid_of kept)"
wait_until 10 ids_are 3 || fail "segments are $(ids)"
finish
wait "$follower"
for wanted in "0 key=0x00000071" "1 key=0x00000073" "2 key=0x00000072"; do
  grep -qE "^[^ ]+ cleanup shmid=$wanted bytes=4096 uid=0 cpid=[0-9]+ registry=main by=orphaned$" "$scratch/events" ||
    fail "events do not tell of $wanted: $(cat "$scratch/events")"
done
expect "cleanups that are told of" 3 "$(grep -c ' cleanup shmid=[012] ' "$scratch/events")"

heading "run --report, and the configuration"
printf '[run]\ncleanup = "orphaned"\n' >"$scratch/web.toml"
timeout 60 "$SHMVISOR" run --config "$scratch/web.toml" --report="$scratch/report" -- \
  bash -c 'ipcmk -M 4096 >/dev/null; sleep 4; ipcmk -M 8192 >/dev/null' || fail "status $?"
grep -q "^  cleaned up: shmid 0, .* 4096 bytes" "$scratch/report" || fail "not the first: $(cat "$scratch/report")"
grep -q "^  left: shmid 1, .* 8192 bytes" "$scratch/report" || fail "not the second: $(cat "$scratch/report")"
said 125 "" "$SHMVISOR" run --cleanup sometimes -- true
said 125 "" "$SHMVISOR" run --cleanup orphaned --join "$scratch/none" -- true
assert_kernel_table_empty
