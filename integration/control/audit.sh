#!/bin/bash
# audit.sh FAKE_RUNTIME SEGMENT: refusals and acts as records: on standard error, in a file that rotates, or cannot, for
# syslog and journald; what one user may cause; and whatever these take or do not take, the command waits for none.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/../agent/lib.sh" || exit 1
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3
fake_runtime=$1
segment=$2
cd "$scratch" || fail cd

# refused COUNT [USER]: so many shmgets that shmmax refuses, all of them quickly.
cat >refused.py <<'EOF'
import ctypes, os, sys, time
if len(sys.argv) > 2:
    os.setuid(int(sys.argv[2]))
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
grep -qE 'audit: stop pid=[0-9]+ command=python3 status=0$' err || fail "no stop: $(cat err)"
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

heading "a flood beside an act"
# Three thousand records would go through all files; the user has 256, and a few more each second.
# shellcheck disable=SC2016
start_run flood --audit ./flooded --audit-format json --audit-size 32K --audit-keep 3 --shmmax 8K -- \
  sh -c 'ipcmk -M 4096 >made; while [ ! -e acted ]; do sleep 0.05; done
python3 "$0" 20000 1000 >flood.out; while [ ! -e over ]; do sleep 0.05; done' \
  refused.py
wait_until 20 test -s made || fail "no segment"
client rm --name flood 0 >/dev/null || fail rm
touch acted
wait_until 60 test -s flood.out || fail "the flood does not end"
wait_until 10 grep -q left_out flooded || fail "it is not told while nothing else comes: $(ls -l)"
touch over
wait "$run" || fail "the run: status $?"
assert_silent flood.log
cat flooded* >all
expect "the act is there" "[('remove', 'ok')]" \
  "$(json all '[(r["act"], r["result"]) for r in records if r["event"] == "act"]')"
expect "what is there, and what is told to be left out" 20000 \
  "$(json all 'sum(r["records"] if r["event"] == "left_out" else r["event"] == "refusal" for r in records)')"
expect "whose it was" "{1000}" "$(json all '{r["uid"] for r in records if r["event"] == "left_out"}')"
[ "$(json all 'sum(r["event"] == "left_out" for r in records)')" -le $(($(cut -d' ' -f2 flood.out) + 3)) ] ||
  fail "it is told too often: $(grep left_out all)"
[ "$(grep -c refusal all)" -ge 256 ] || fail "too little is told: $(grep -c refusal all)"
rm made acted over

heading "a file that cannot be moved"
# held PATH: sixty refusals; then, once `go` is there, one more.
# shellcheck disable=SC2016
held() {
  rm -f go first
  run_audited --audit "$1" --audit-size 2K --audit-keep 2 -- sh -c 'python3 "$0" 60 >first
while [ ! -e go ]; do sleep 0.05; done; python3 "$0" 1 >/dev/null' refused.py 2>err &
  held=$!
  wait_until 60 test -s first || fail "the refusals: $(cat err)"
}
older() { for number in 1 2; do echo "older $number" >"$1.$number"; done; }
# As a container has it: the file is a mount.
: >mounted
older mounted
mount --bind mounted mounted || fail "no mount"
held ./mounted
wait_until 20 grep -qE 'audit: ./mounted cannot be moved at its size, and grows: Device or resource busy' err || fail "not told: $(cat err)"
wait_until 20 grep -qE 'audit: records are lost: ./mounted cannot be moved' err || fail "no loss is told: $(cat err)"
expect "the older files" "older 1 older 2" "$(cat mounted.1 mounted.2 | paste -s -d " ")"
expect "all files" "mounted mounted.1 mounted.2" "$(echo mounted*)"
[ "$(stat -c %s mounted)" -gt 4096 ] || fail "the file does not grow: $(ls -l mounted*)"
[ "$(stat -c %s mounted)" -le 6144 ] || fail "the file grows beyond all: $(ls -l mounted*)"
umount --lazy mounted || fail umount  # the run has it open
sleep 1.1
touch go
wait "$held" || fail "the run: status $?"
grep -qE 'audit: ./mounted is moved at its size again' err || fail "not told: $(cat err)"
grep -qE 'audit: records are written again' err || fail "not told: $(cat err)"
expect "all files" "mounted mounted.1 mounted.2" "$(echo mounted*)"
expect "the older one" "older 1" "$(cat mounted.2)"
grep -q ' lost records=' mounted || fail "no record of the loss: $(cat mounted)"
# A folder in the way, with something in it.
: >barred
echo "older 1" >barred.1
mkdir barred.2
touch barred.2/theirs
held ./barred
wait_until 20 grep -qE 'audit: ./barred cannot be moved at its size, and grows: ./barred.2: Is a directory' err || fail "not told: $(cat err)"
expect "the older file" "older 1" "$(cat barred.1)"
expect "all files" "barred barred.1 barred.2 barred.2/theirs" "$(echo barred* barred.2/*)"
touch go
wait "$held" || fail "the run: status $?"
# A folder that the user cannot write to.
install -d -m 755 closed
install -m 600 -o 1000 /dev/null closed/audit
copy_shmvisor_to_scratch
timeout 60 setpriv --reuid 1000 --regid 1000 --clear-groups -- "$SHMVISOR" run --shmmax 8K --audit closed/audit \
  --audit-size 2K --audit-keep 2 -- \
  sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do ipcmk -M 8193; done 2>&1; true' >/dev/null 2>err || fail "status $?: $(cat err)"
expect "all files" closed/audit "$(echo closed/*)"
grep -qE 'audit: closed/audit cannot be moved at its size, and grows: Permission denied' err || fail "not told: $(cat err)"
expect "refusals" 12 "$(grep -c refusal closed/audit)"

heading "several runs, one file"
for number in 1 2 3; do
  run_audited --audit ./shared --audit-size 4K --audit-keep 9 -- python3 refused.py 20 >/dev/null 2>"err.$number" &
  runs[number]=$!
done
for number in 1 2 3; do
  wait "${runs[number]}" || fail "the run $number: status $?"
  assert_silent "err.$number"
done
expect "refusals" 60 "$(cat shared* | grep -c refusal)"
for file in shared*; do
  # Each of the others may add a record between a look at the size and the writing.
  [ "$(stat -c %s "$file")" -le $((4096 + 2 * 400)) ] || fail "$file is too large: $(ls -l shared*)"
done

heading "whose file it is"
install -m 666 /dev/null was_there
run_audited --audit ./was_there -- true || fail "status $?"
expect "its mode" 600 "$(stat -c %a was_there)"
mkdir elsewhere
ln -s elsewhere/target link
run_audited --audit ./link -- true || fail "an own link: status $?"
grep -q stop elsewhere/target || fail "nothing is where the link leads"
install -m 666 -o 1000 /dev/null anothers
mkdir -m 1777 sticky
echo precious >precious
ln -s ../precious sticky/audit
chown -h 1000 sticky/audit

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
grep -qE 'audit: what it writes to takes too long; some records are lost' err || fail "the loss is not told: $(cat err)"
stop_daemon
rm log.socket

# All are lost, and counted: of the refusals those that the user may cause, and those that were left out.
cat >unread.py <<'EOS'
import os, socket, time
taken = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
taken.bind("log.socket")
first = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
first.setblocking(False)
try:
    while True:  # until it takes nothing more, whatever net.unix.max_dgram_qlen is
        first.sendto(b"x", "log.socket")
except BlockingIOError:
    pass
open("unread", "w").close()
while not os.path.exists("over"):
    time.sleep(0.05)
EOS
python3 unread.py &
daemon=$!
wait_until 20 test -e unread || fail "nobody has the socket"
run_audited --audit "syslog:$scratch/log.socket" -- python3 refused.py 2000 >out 2>err || fail "$(cat err)"
touch over
wait "$daemon" || fail "unread.py: $?"
expect "records that were lost" 2002 "$(sed -nE 's/.*--audit: ([0-9]+) records were lost$/\1/p' err)"
rm over unread log.socket

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
refuses ./anothers "cannot write to ./anothers: it is the file of another user, 1000"
refuses sticky/audit "cannot write to sticky/audit: sticky/audit is a symbolic link of another user's"
expect "where it leads" precious "$(cat precious)"
"$SHMVISOR" run --audit /dev/stdout -- touch ran 2>err | cat
expect "status where standard output is a pipe" 125 "${PIPESTATUS[0]}"
grep -q "cannot write to /dev/stdout: it is no regular file; standard error is called stderr" err || fail "a pipe: $(cat err)"
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
head -c 8192 /dev/urandom >bytes
"$SHMVISOR" load <bytes >/dev/null || fail load
client save saved || fail save
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
expect "acts" "[('dump', 'ok'), ('allocate', 'ok'), ('load', 'ok'), ('detach', 'ok'), ('remove', 'ok'), ('set', 'ok'), ('allocate', 'ok'), ('load', 'ok'), ('save', 'ok'), ('dump', 'ok'), ('reload', 'ok'), ('reload', 'bad-configuration')]" \
  "$(json acts '[(r["act"], r.get("result")) for r in records if r["event"] == "act"]')"
expect "the segment, the limit, and by whom" "0 65536 True 0" \
  "$(json acts '" ".join(str(v) for v in [records[1]["shmid"], [r for r in records if r.get("act") == "set"][0]["shmmax"], records[1]["by_pid"] > 1, records[1]["by_uid"]])')"
expect "its command" "{'shmvisor'}" "$(json acts '{r["by_command"] for r in records if r["event"] in ("act", "join")} - {"python3"}')"
expect "what was loaded is named" "True main 0x00000055 0600" \
  "$(json acts '" ".join(str(v) for v in [records[3]["shmid"] > 0, records[3]["registry"], records[3]["key"], records[3]["mode"]])')"
expect "how far a detach went" "[(0, 0)]" \
  "$(json acts '[(r["processes"], r["failed"]) for r in records if r.get("act") == "detach"]')"
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
expect "a container that is refused is named" True \
  "$(json agent.audit '[len(r["container"]) > 0 for r in records if r.get("act") == "refused"][0]')"
expect "the refusal names its container" con1 "$(json agent.audit '[r["container"] for r in records if r["event"] == "refusal"][0]')"
expect "SIGHUP" SIGHUP "$(json agent.audit '[r["signal"] for r in records if r.get("act") == "reload"][0]')"

heading "who joins which group"
start_agent --serve-group g1=g1.socket --serve-group g2=g2.socket --audit ./groups.audit --audit-format json
"$SHMVISOR" run --join g2.socket -- true || fail "it cannot join"
stop_agent || fail "the agent: status $?"
expect "the group" "[('g2', 'ok', 'shmvisor')]" \
  "$(json groups.audit '[(r["group"], r["result"], r["by_command"]) for r in records if r["event"] == "join"]')"
assert_kernel_table_empty
