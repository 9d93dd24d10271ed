#!/bin/bash
# reload.sh FAKE_RUNTIME: limits and rules change while calls are served, by a client and, of the agent, by SIGHUP; a
# bad file changes nothing; what needs a restart is said.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/../agent/lib.sh" || exit 1
. "$(dirname "$0")/../control/lib.sh" || exit 1
need python3 python3
fake_runtime=$1
calls=$(dirname "$(readlink -f "$0")")/calls.py
cd "$scratch" || fail cd

# called: what the next shmget of `calls.py follow` in the folder $followed gives.
called() {
  touch "$followed/$next"
  wait_until 30 test -e "$followed/$next.done" || fail "no answer"
  cat "$followed/$next.done"
  next=$((next + 1))
}
deny() { printf '[[rule]]\ncall = "shmget"\naction = "deny"\nerrno = "%s"\n' "$1"; }

heading "a run"
followed=$scratch/run next=0
mkdir run
printf '[limits]\nshmmni = 50\n' >run.toml
start_run web -v --shmall 1000 --config run.toml -- python3 "$calls" follow "$followed"
answer=$(called) next=1
expect "without rules" ok "$answer"
deny EACCES >>run.toml
answer=$(called) next=2
expect "before the reload" ok "$answer"
expect "what reload prints" "" "$(client reload)"
answer=$(called) next=3
expect "with a rule" EACCES "$answer"
limit() { client limits | sed -n "s/^$1 = //p"; }
expect "shmmni" 50 "$(limit 'max number of segments')"

heading "a bad file changes nothing"
cp run.toml good.toml
printf '[limits]\nshmmni = 7\n[[rule]]\naction = "alow"\n' >run.toml
said 1 "run.toml:4:10: there is no action 'alow'; did you mean 'allow'\?" client reload
rm run.toml
said 1 "run.toml: it cannot be opened" client reload
head -c 200000 /dev/urandom >run.toml
said 1 "run.toml:" client reload
answer=$(called) next=4
expect "the rule stays" EACCES "$answer"
expect "the limit stays" 50 "$(limit 'max number of segments')"

heading "limits, and what needs a restart"
printf '[limits]\nshmmni = 3\nshmall = 7\nshmmax = "64K"\n[run]\npopulate = true\nname = "other"\n[limits.uid.0]\nshmmni = 0\n' >run.toml
expect "what reload prints" "populate has changed, and needs a restart" "$(client reload)"
expect "shmmni" 3 "$(limit 'max number of segments')"
expect "shmmax, in KiB" 64 "$(limit 'max seg size (kbytes)')"
expect "shmall, which the command line set" 4000 "$(limit 'max total shared memory (kbytes)')"
answer=$(called) next=5
expect "the user's limit" ENOSPC "$answer"
expect "limits of users" "user shmmax shmall shmmni segments pages
root - - 0 2 2
others - - - - -" "$(client limits | sed '1,/Limits of Users/d' | squeezed)"
expect "the same as JSON" "{'default': {}, 'users': [{'uid': 0, 'limits': {'shmmni': 0}, 'segments': 2, 'pages': 2}], 'users_left_out': 0}" \
  "$(client limits --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["registries"][0]["user_limits"])')"
grep -q "this user has 2 segments, and its shmmni is 0" web.log || fail "the log does not say why: $(cat web.log)"
: >run.toml
expect "what reload prints" "" "$(client reload)"
answer=$(called) next=6
expect "without rules and limits" ok "$answer"
! client limits | grep -q 'Limits of Users' || fail "limits of users that there are not"
expect "shmmni is the default again" 4096 "$(limit 'max number of segments')"
expect "JSON" "0 []" "$(client reload --json | python3 -c 'import json, sys
reply = json.load(sys.stdin)
print(reply["rules"], reply["need_restart"])')"
printf '[[rule]]\naction = "allow"\n[[rule]]\ncall = "shmget"\naction = "log"\n' >run.toml
warning="run.toml:3:1: rule 2 can never match: rule 1 (run.toml:1:1) decides all its calls"
expect "what reload prints of a rule in vain" "warning: $warning" "$(client reload)"
expect "the same as JSON" "['$warning']" "$(client reload --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["warnings"])')"

heading "a delay ends with its rule"
delay() { printf '[[rule]]\ncall = "shmget"\naction = "fault"\ndelay = "60s"\n'; }
delay >run.toml
client reload || fail "reload: $?"
touch "$followed/$next"
wait_until 30 test -e "$followed/$next.begun" || fail "the call does not come"
shmget=$(python3 -c 'import os; print(29 if os.uname().machine == "x86_64" else 194)')
calls_shmget() {
  local child number
  for child in $(cat "/proc/$run/task/$run/children"); do
    read -r number _ <"/proc/$child/syscall" && [ "$number" = "$shmget" ] && return
  done
  return 1
}
wait_until 30 calls_shmget || fail "the call does not wait"
printf '# The same, elsewhere.\n' | cat - <(delay) >run.toml
client reload || fail "reload: $?"
sleep 1 # A look at the rules takes a millisecond.
[ ! -e "$followed/$next.done" ] || fail "the call does not wait: $(cat "$followed/$next.done")"
deny EACCES >run.toml
client reload || fail "reload: $?"
answer=$(called) next=7
expect "the rule that is there instead" EACCES "$answer"
touch "$followed/end"
wait "$run"
expect "the command's exit status" 0 $?
start_run plain -- sleep 1000
said 1 "it was started without --config" client reload
kill -TERM "$run"
wait "$run"

heading "the agent: a client, and SIGHUP"
followed=$scratch/container next=0
mkdir container
printf '[limits]\nshmmni = 50\n' >agent.toml
start_agent --name node -v --config agent.toml
timeout 100 "$fake_runtime" "$socket" one 'shmmax=1M' -- python3 "$calls" follow "$followed" >out 2>&1 &
container=$!
answer=$(called) next=1
expect "without rules" ok "$answer"
deny EDQUOT >>agent.toml
expect "what reload prints" "" "$(client reload --name node)"
answer=$(called) next=2
expect "by a client" EDQUOT "$answer"
printf '[limits]\nshmmni = 9\nshmmax = "4K"\n' >agent.toml
deny EIO >>agent.toml
kill -HUP "$agent"
has_limit() { [ "$(limit 'max number of segments')" = 9 ]; }
wait_until 30 has_limit || fail "SIGHUP does not reload: $(cat agent.log)"
answer=$(called) next=3
expect "by SIGHUP" EIO "$answer"
expect "a limit of the metadata stays" 1024 "$(limit 'max seg size (kbytes)')"
echo nonsense >agent.toml
kill -HUP "$agent"
told() { grep -q 'the configuration stays as it was: agent.toml:1:' agent.log; }
wait_until 30 told || fail "nobody says what is wrong: $(cat agent.log)"
answer=$(called) next=4
expect "the rule stays" EIO "$answer"
touch "$followed/end"
wait "$container"
kill -0 "$agent" || fail "SIGHUP ended the agent"
stop_agent
assert_kernel_table_empty
