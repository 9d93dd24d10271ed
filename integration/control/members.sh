#!/bin/bash
# ps shows who belongs to a run or to a group, and no stranger: commands that have joined, each where it has joined, also
# where it maps nothing; and not those of another run, which have as many filters.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/../agent/lib.sh" || exit 1
. "$(dirname "$0")/lib.sh" || exit 1

# command_of RUN: $command, the process that it has started.
command_of() {
  starts() { command=$(cat "/proc/$1/task/$1/children" 2>/dev/null) && command=${command%% *} && [ "$(cat "/proc/$command/comm")" = sleep ]; }
  wait_until 20 starts "$1" || fail "the command of $1 does not start"
}
# rows NAME [OPTION...]: pid, registry where there is one, and command, of each process that ps shows.
rows() { client ps --name "$@" --json | python3 -c 'import json, sys
for one in json.load(sys.stdin)["processes"]:
    print(one["pid"], one["session"], one["command"], "" if one["certain"] else "perhaps")' | squeezed | sort -n; }

need python3 python3
"$SHMVISOR" run -- sleep 1001 &
stranger=$!
command_of $stranger
strangers=$command

heading "a run that others have joined"
start_run web --serve "$scratch/web.socket" -- sleep 1002
command_of "$run"
own=$command
"$SHMVISOR" run --join "$scratch/web.socket" -- sleep 1003 &
joiner=$!
command_of $joiner
expect "who belongs to it" "$(printf '%s main sleep\n' "$own" "$command" | sort -n)" "$(rows web)"
kill $joiner "$run"
wait $joiner "$run" 2>/dev/null

heading "groups of an agent"
start_agent --name node --serve-group g1="$scratch/g1.socket" --serve-group g2="$scratch/g2.socket"
"$SHMVISOR" run --join "$scratch/g1.socket" -- sleep 1004 &
first=$!
command_of $first
one=$command
expect "one of g1" "$one group:g1 sleep" "$(rows node)"
"$SHMVISOR" run --join "$scratch/g2.socket" -- sleep 1005 &
second=$!
command_of $second
expect "one of each" "$(printf '%s\n' "$one group:g1 sleep" "$command group:g2 sleep" | sort -n)" "$(rows node)"
[ "$(rows node -a | grep -c "^$strangers .* perhaps$")" = 1 ] || fail "the stranger is not among those that may belong: $(rows node -a)"
kill $first $second $stranger
wait $first $second $stranger 2>/dev/null
stop_agent
assert_kernel_table_empty
