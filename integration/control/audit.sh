#!/bin/bash
# audit.sh FAKE_RUNTIME SEGMENT: refusals and acts as records: on standard error, in a file that rotates, for syslog
# and journald; and whatever these take or do not take, the command waits for none of them.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/../agent/lib.sh" || exit 1
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3
fake_runtime=$1
segment=$2
cd "$scratch" || fail cd

# refused COUNT: so many shmgets that shmmax refuses, all of them quickly.
cat >refused.py <<'EOF'
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
began = time.monotonic()
for _ in range(int(sys.argv[1])):
    assert libc.shmget(0x77, ctypes.c_size_t(8193), 0o1600) == -1 and ctypes.get_errno() == 22
print("done", int(time.monotonic() - began))
EOF
# daemon.py PATH OUTPUT [slow]: a socket as syslog's and journald's; each datagram between lines of "--".
cat >daemon.py <<'EOF'
import socket, sys, time
taken = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
taken.bind(sys.argv[1])
with open(sys.argv[2], "wb", buffering=0) as output:
    output.write(b"ready\n")
    while True:
        if len(sys.argv) > 3:
            time.sleep(0.2)
        output.write(taken.recv(65536) + b"\n--\n")
EOF
run_audited() { timeout --kill-after=10 100 "$SHMVISOR" run --shmmax 8K "$@" </dev/null; }
start_daemon() {
  rm -f "$2"
  python3 daemon.py "$@" &
  daemon=$!
  wait_until 20 grep -q ready "$2" || fail "the daemon does not listen"
}
stop_daemon() {
  kill "$daemon"
  wait "$daemon" 2>/dev/null
}
# json FILE EXPRESSION: of the list `records`.
json() {
  python3 -c 'import json, sys
records = [json.loads(line) for line in open(sys.argv[1]) if line.startswith("{")]
print(eval(sys.argv[2]))' "$1" "$2"
}

heading "standard error"
run_audited --audit stderr -- python3 refused.py 1 2>err || fail "status $?: $(cat err)"
grep -qE '^shmvisor\[[0-9]+\]: audit: start pid=[0-9]+ command=python3$' err || fail "no start: $(cat err)"
grep -qE '^shmvisor\[[0-9]+\]: audit: refusal call=shmget key=0x00000077 size=8193 errno=EINVAL denied_by=shmmax because="8193 bytes are more than shmmax, 8192" pid=[0-9]+ tid=[0-9]+ uid=0 command=python3$' err ||
  fail "no refusal: $(cat err)"
grep -qE 'audit: stop$' err || fail "no stop: $(cat err)"
run_audited --audit=stderr --audit-format json -- python3 refused.py 2 2>err || fail "status $?: $(cat err)"
expect "JSON" "['start', 'refusal', 'refusal', 'stop'] 8193 shmmax run" \
  "$(json err '[r["event"] for r in records]') $(json err 'records[1]["size"]') $(json err 'records[1]["denied_by"] + " " + records[0]["kind"]')"

heading "a file"
run_audited --audit ./audit.log --audit-format=json --name one -- python3 refused.py 3 2>err || fail "$(cat err)"
assert_silent err
expect "what is in it" "5 one" "$(json audit.log 'str(len(records)) + " " + records[0]["name"]')"
expect "its mode" 600 "$(stat -c %a audit.log)"
run_audited --audit ./audit.log -- python3 refused.py 1 || fail "the file is not added to"
expect "lines" 8 "$(wc -l <audit.log)"
grep -qE '^20[0-9-]+T[0-9:]+\.[0-9]{6}Z shmvisor\[[0-9]+\]: refusal call=shmget ' audit.log || fail "no text: $(cat audit.log)"
run_audited --audit ./rotated --audit-size 2K --audit-keep 2 -- python3 refused.py 40 || fail "rotation"
expect "files" "rotated rotated.1 rotated.2" "$(echo rotated*)"
for file in rotated rotated.1 rotated.2; do
  [ "$(stat -c %s "$file")" -le 2048 ] || fail "$file is too large: $(ls -l)"
  ! grep -vqE '^20.*(refusal|stop)' "$file" || fail "a line is torn: $(cat "$file")"
done
grep -q stop rotated || fail "the last record is not in the file: $(cat rotated)"
# As logrotate does it.
# shellcheck disable=SC2016
run_audited --audit ./moved -- sh -c 'python3 "$0" 1; while [ ! -s moved ] || ! grep -q refusal moved; do sleep 0.05; done
mv moved moved.old; python3 "$0" 2' refused.py >/dev/null || fail "it was moved"
expect "refusals before and after" "1 2" "$(grep -c refusal moved.old) $(grep -c refusal moved)"

heading "a full disk"
mkdir small
mount -t tmpfs -o size=16k none small || fail "no small disk"
head -c 12288 /dev/zero >small/filler
# shellcheck disable=SC2016
run_audited --audit small/audit --audit-format json -- sh -c 'python3 "$0" 100; rm small/filler; python3 "$0" 1' \
  refused.py >out 2>err || fail "the command: $(cat err)"
grep -qE 'audit: [0-9]+ records were lost' err || fail "the loss is not told: $(cat err)"
expect "records and losses" 103 "$(json small/audit 'sum(r["records"] if r["event"] == "lost" else 1 for r in records)')"
[ "$(json small/audit 'sum(r["event"] == "lost" for r in records)')" -ge 1 ] || fail "no record of the loss"
umount small

heading "a pipe that nobody reads"
mkfifo pipe
exec 5<>pipe
run_audited --audit stderr -- python3 refused.py 20000 >out 2>pipe || fail "status $?"
[ "$(cut -d' ' -f2 out)" -lt 30 ] || fail "the command waited: $(cat out)"
exec 5>&-

heading "syslog"
start_daemon "$scratch/log.socket" syslog.out
run_audited --audit "syslog:$scratch/log.socket" -- python3 refused.py 1 2>err || fail "$(cat err)"
grep -qE '^<85>[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} shmvisor\[[0-9]+\]: refusal call=shmget key=0x00000077 ' syslog.out ||
  fail "not as syslog(3) has it: $(cat syslog.out)"
stop_daemon
rm log.socket
start_daemon "$scratch/log.socket" syslog.out slow
run_audited --audit "syslog:$scratch/log.socket" -- python3 refused.py 20000 >out 2>err || fail "$(cat err)"
[ "$(cut -d' ' -f2 out)" -lt 30 ] || fail "the command waited: $(cat out)"
grep -qE 'audit: [0-9]+ records were lost' err || fail "the loss is not told: $(cat err)"
stop_daemon
rm log.socket

heading "journald"
mount -t tmpfs none /run || fail "no /run of our own"
mkdir -p /run/systemd/journal
start_daemon /run/systemd/journal/socket journald.out
# The daemon ends, and another one begins.
# shellcheck disable=SC2016
run_audited --audit journald --name named -- sh -c 'python3 "$0" 1; touch ready; while [ ! -e again ]; do sleep 0.05; done
python3 "$0" 1' refused.py >/dev/null 2>err &
audited=$!
wait_until 30 test -e ready || fail "the command does not come so far"
wait_until 30 grep -q SHMVISOR_EVENT=refusal journald.out || fail "no refusal: $(cat journald.out)"
for field in 'MESSAGE=refusal call=shmget .*' PRIORITY=5 SYSLOG_IDENTIFIER=shmvisor SHMVISOR_EVENT=refusal SHMVISOR_NAME=named \
  SHMVISOR_CALL=shmget SHMVISOR_SIZE=8193 SHMVISOR_DENIED_BY=shmmax SHMVISOR_COMMAND=python3; do
  grep -qx "$field" journald.out || fail "no field $field: $(cat journald.out)"
done
stop_daemon
rm /run/systemd/journal/socket
start_daemon /run/systemd/journal/socket journald.2
touch again
wait "$audited" || fail "status $?: $(cat err)"
grep -q SHMVISOR_EVENT=refusal journald.2 || fail "the new daemon gets nothing: $(cat journald.2)"
stop_daemon
umount /run

heading "bad places"
mkdir folder
mkfifo fifo
# refuses PLACE PATTERN: before the command starts.
refuses() {
  "$SHMVISOR" run --audit "$1" -- touch ran 2>err
  expect "status of --audit $1" 125 $?
  grep -qE -- "$2" err || fail "--audit $1: $(cat err)"
  [ ! -e ran ] || fail "--audit $1: the command ran"
}
refuses banana "neither stderr, syslog, journald nor a path"
refuses ./folder "cannot write to ./folder: Is a directory"
refuses ./fifo "cannot write to ./fifo: it is no regular file"
refuses ./none/file "cannot write to ./none/file: No such file"
refuses "syslog:$scratch/none" "cannot reach syslog at .*: No such file"
refuses journald:./folder "cannot reach journald at"
refuses "" "the place is empty"
"$SHMVISOR" agent --socket "$scratch/bad.sock" --audit ./folder 2>err
expect "status of the agent" 125 $?

heading "acts"
printf '[limits]\nshmmni = 7\n' >run.toml
start_run web --config run.toml --audit ./acts --audit-format json --serve "$scratch/served" -- \
  sh -c 'ipcmk -M 4096 >made; while [ ! -e over ]; do sleep 0.05; done'
wait_until 20 test -s made || fail "no segment"
client dump 0 >dumped || fail dump
"$SHMVISOR" load --key 0x55 <dumped >/dev/null || fail load
client detach 0 >/dev/null 2>&1
client rm 0 >/dev/null || fail rm
said 1 "has no segment" client rm --registry main 4711
client set --shmmax 64K || fail set
printf '[limits]\nshmmni = 9\n' >run.toml
client reload || fail reload
echo x >run.toml
said 1 "run.toml" client reload
"$SHMVISOR" run --join served -- true || fail "it cannot join"
python3 -c 'import socket, time
visitor = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
visitor.connect("served")
visitor.sendall(b"x")
visitor.recv(4096), visitor.recv(4096)'
cat >limit.py <<'EOS'
import os
limit = os.open("/proc/sys/kernel/shmmni", os.O_WRONLY)
os.pwrite(limit, b"77\n", 0)
os.pwrite(limit, b"9" * 4000, 7)  # changes nothing
EOS
"$SHMVISOR" run --join served --proc=fuse -- python3 limit.py || fail "no limit from inside"
touch over
wait "$run" || fail "the run: status $?"
expect "acts" "[('dump', 'ok'), ('allocate', 'ok'), ('load', 'ok'), ('detach', 'ok'), ('remove', 'ok'), ('set', 'ok'), ('reload', None), ('reload', None)]" \
  "$(json acts '[(r["act"], r.get("result")) for r in records if r["event"] == "act"]')"
expect "the segment, the limit, and by whom" "0 65536 True 0" \
  "$(json acts '" ".join(str(v) for v in [records[1]["shmid"], [r for r in records if r.get("act") == "set"][0]["shmmax"], records[1]["by_pid"] > 1, records[1]["by_uid"]])')"
expect "reloads" "[('ok', 0), ('unchanged', None)]" \
  "$(json acts '[(r["result"], r.get("rules")) for r in records if r["event"] == "reload"]')"
expect "joins" "['ok', 'refused', 'ok']" "$(json acts '[r["result"] for r in records if r["event"] == "join"]')"
expect "a limit that was set inside" "[('shmmni', 77)]" \
  "$(json acts '[(r["file"], r["written"]) for r in records if r["event"] == "limit"]')"

heading "the agent"
printf '[limits]\nshmmax = "4K"\n' >agent.toml
start_agent --config agent.toml --audit ./agent.audit --audit-format json
timeout 60 "$fake_runtime" "$socket" con1 '' -- python3 refused.py 1 >out 2>&1 || fail "$(cat out)"
timeout 60 "$fake_runtime" "$socket" con2 'shmmax=banana' -- "$segment" hold 1 x >out 2>&1 &
reloaded() { grep -q '"reload","result"\|"event":"reload"' agent.audit; }
kill -HUP "$agent"
wait_until 30 reloaded || fail "no reload: $(cat agent.audit)"
wait_until 30 grep -q refused agent.audit || fail "no refused container: $(cat agent.audit)"
stop_agent || fail "the agent: status $?"
expect "containers" "['served', 'ended', 'refused']" \
  "$(json agent.audit 'sorted((r["act"] for r in records if r["event"] == "container"), key=["served", "ended", "refused"].index)')"
expect "the refusal names its container" con1 "$(json agent.audit '[r["container"] for r in records if r["event"] == "refusal"][0]')"
expect "SIGHUP" SIGHUP "$(json agent.audit '[r["signal"] for r in records if r.get("act") == "reload"][0]')"
assert_kernel_table_empty
