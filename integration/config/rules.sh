#!/bin/bash
# rules.sh FAKE_RUNTIME: rules for calls: what a program sees of each action, what a match can see of each
# call, and that delayed calls keep nobody else waiting. Limits for each user.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/../agent/lib.sh" || exit 1
. "$(dirname "$0")/../control/lib.sh" || exit 1
need python3 python3
fake_runtime=$1
calls=$(dirname "$(readlink -f "$0")")/calls.py
cd "$scratch" || fail cd

# ruled WHAT...: calls.py under the rules of standard input; its output, and the log in the file log.
ruled() {
  cat >rules.toml
  timeout --kill-after=10 100 "$SHMVISOR" run -v --config rules.toml -- python3 "$calls" "$@" 2>log || echo "status $?"
}

heading "deny: by call and key"
expect "every call to key 0x77" "0x77 shmget EACCES
0x77 shmat EINVAL
0x77 IPC_STAT EINVAL
0x77 IPC_RMID EINVAL
0x88 shmget ok
0x88 shmat ok
0x88 IPC_STAT ok
0x88 shmdt ok
0x88 IPC_RMID ok" "$(ruled each_call <<<'[[rule]]
key = 0x77
action = "deny"
errno = "EACCES"')"
grep -qE 'shmget of thread [0-9]+ \(python3\), user 0, fails with EACCES: rule 1 of the configuration \(line 1\) denies it$' log ||
  fail "the log does not say which rule: $(cat log)"
expect "each call but shmget, by the segment's key" "0x77 shmget ok
0x77 shmat ok
0x77 IPC_STAT EIO
0x77 shmdt EPERM
0x77 IPC_RMID EBUSY
0x88 shmget ok
0x88 shmat EACCES
0x88 IPC_STAT ok
0x88 IPC_RMID ok" "$(ruled each_call <<<'[[rule]]
call = "shmdt"
key = "0x70-0x7f"
action = "deny"
errno = "EPERM"
[[rule]]
call = "shmat"
key = [0x88, 0x99]
action = "deny"
errno = "EACCES"
[[rule]]
call = "IPC_STAT"
key = 0x77
action = "deny"
errno = "EIO"
[[rule]]
call = "IPC_RMID"
key = 0x77
size = "4096-"
action = "deny"
errno = "EBUSY"')"
expect "the first that matches" "..." "$(ruled repeat 3 <<<'[[rule]]
uid = "0-999"
action = "allow"
[[rule]]
action = "deny"
errno = "EACCES"')"

heading "deny: by program, uid and size"
program=$(python3 -c 'import os; print(os.readlink("/proc/self/exe"))')
expect "its program" "xx" "$(ruled repeat 2 <<<"[[rule]]
command = [\"/bin/nothing\", \"$program\"]
action = \"deny\"
errno = \"EACCES\"")"
expect "another program" ".." "$(ruled repeat 2 <<<'[[rule]]
command = "*/nothing"
action = "deny"
errno = "EACCES"')"
expect "user 1000, by size" "4096 ok
8192 EACCES
4097 EACCES" "$(ruled users 4096 8192 4097 <<<'[[rule]]
uid = 1000
gid = "1-1000"
size = "4097-"
action = "deny"
errno = "EACCES"')"

heading "log"
expect "a call that is logged" "ok" "$(ruled users 4096 <<<'[[rule]]
call = "shmget"
action = "log"' | cut -d' ' -f2)"
grep -qE 'warning: rule 1 \(line 1\): shmget\(0x0, 4096, 01600\) of thread [0-9]+ \(python3\), user 1000$' log || fail "no line: $(cat log)"

heading "fault"
fault() { printf '[[rule]]\ncall = "shmget"\naction = "fault"\nerrno = "ENOMEM"\n%s\n' "$1"; }
expect "the third" "..x..." "$(fault 'nth = 3' | ruled repeat 6)"
grep -q 'rule 1 of the configuration (line 1) makes it fail' log || fail "the log does not say why: $(cat log)"
expect "each third" "..x..x" "$(fault 'every = 3' | ruled repeat 6)"
expect "all" "xxx" "$(fault '' | ruled repeat 3)"
struck=$(printf '%s\n' "$(fault $'fraction = 0.3\nseed = 7')" | ruled repeat 60)
expect "a fraction, once more" "$struck" "$(fault $'fraction = 0.3\nseed = 7' | ruled repeat 60)"
[[ $struck == *x* && $struck == *.* ]] || fail "a fraction strikes none or all: $struck"
[ "$struck" != "$(fault $'fraction = 0.3\nseed = 8' | ruled repeat 60)" ] || fail "another seed strikes the same calls"
ruled timed >out <<<'[[rule]]
key = 0x99
action = "fault"
nth = 1
delay = "400ms"
[[rule]]
action = "deny"
errno = "EPERM"'
read -r result took <out
expect "a delayed call's result" ok "$result"
[ "$took" -ge 400 ] || fail "it took $took ms instead of 400"
ruled timed >out <<<'[[rule]]
key = 0x99
action = "fault"
delay = "300ms"
errno = "EINTR"'
read -r result took <out
expect "one that fails too" EINTR "$result"
[ "$took" -ge 300 ] || fail "it took $took ms instead of 300"
expect "a crowd that waits" "waiting 300
others were served
the delayed ones died 1" "$(ruled crowd 300 <<<'[[rule]]
key = 0x99
action = "fault"
delay = "60s"')"

heading "limits of users"
limits='[limits]
shmmni = 1000
[limits.uid.default]
shmmax = "64K"
[limits.uid.1000]
shmall = 6
shmmni = 3'
expect "shmmax, shmall and shmmni of a user" "65537 EINVAL
8192 ok
20480 ENOSPC
4096 ok
8192 ok
1 ENOSPC" "$(ruled users 65537 8192 20480 4096 8192 1 <<<"$limits")"
for reason in "65537 bytes are more than this user's shmmax, 65536" \
  "5 pages beside 2 of this user's other segments are more than its shmall, 6" \
  "this user has 3 segments, and its shmmni is 3"; do
  grep -q "$reason\$" log || fail "the log does not say '$reason': $(cat log)"
done
expect "another user" "......" "$(ruled repeat 6 <<<"$limits")"

heading "containers of the agent"
cat >agent.toml <<'EOS'
[[rule]]
call = "shmget"
container = ["ba*", "group:g"]
action = "deny"
errno = "EDQUOT"
EOS
start_agent --name node -v --config agent.toml
attempt() {
  timeout 60 "$fake_runtime" "$socket" "$1" "$2" -- python3 "$calls" repeat 1 2>&1
}
expect "a container that no rule names" . "$(attempt one '')"
expect "one by its id" x "$(attempt bad '')"
expect "one by its group" x "$(attempt two group=g)"
stop_agent
assert_kernel_table_empty
