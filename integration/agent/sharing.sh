#!/bin/bash
# sharing.sh FAKE_RUNTIME SEGMENT: who shares segments with whom, by container id, group and IPC namespace.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
. "$(dirname "$0")/lib.sh" || exit 1
make_scratch
fake_runtime=$1
segment=$2
holders=()

# contained ID METADATA [COMMAND...]: show what segment 5 holds; COMMAND goes in front.
contained() {
  timeout --kill-after=10 60 "$fake_runtime" "$socket" "$1" "$2" -- "${@:3}" "$segment" show 5
}
# hold ID METADATA TEXT [COMMAND...]: a container in the background; COMMAND makes its namespaces.
hold() {
  "${@:4}" "$fake_runtime" "$socket" "$1" "$2" -- "$segment" hold 5 "$3" >"$scratch/$1.out" &
  holders+=($!)
  wait_until 30 grep -qx held "$scratch/$1.out" || fail "container $1: $(cat "$scratch/$1.out")"
}
end_holders() {
  kill -KILL "${holders[@]}"
  wait "${holders[@]}" 2>/dev/null
  holders=()
}

# Namespaces whose file the agent holds: no more than $1.
holds_namespaces() { [ "$(find "/proc/$agent/fd" -lname 'ipc:*' | wc -l)" -le "$1" ]; }

start_agent
remember_rest

heading "one container"
hold one '' 'of one'
expect "another process of it" "of one, mapped 2 times" "$(contained one '')"
expect "another container" "shmget: ENOENT" "$(contained two '')"
expect "a process of it in an IPC namespace that it made" "shmget: ENOENT" \
  "$(contained one '' unshare --ipc)"
wait_until 20 holds_namespaces 1 || fail "a namespace is kept that nobody lives in any more"
assert_silent "$scratch/agent.log"

heading "another container of the same id, while the first still runs"
expect "in an IPC namespace of its own" "shmget: ENOENT" \
  "$(timeout 60 unshare --ipc "$fake_runtime" "$socket" one 'shmmni=5' -- "$segment" show 5)"
expect "the first" "of one, mapped 2 times" "$(contained one '')"
assert_silent "$scratch/agent.log"

heading "limits that change"
expect "they do not" "of one, mapped 2 times" "$(contained one 'shmmni=5')"
grep -q "warning: container one: its metadata was another before, which stays" "$scratch/agent.log" ||
  fail "nobody says so"
end_holders
assert_nothing_left

heading "a group, over IPC namespaces"
hold first 'group=g,shmmni=9' 'of the group' unshare --ipc
expect "another in the group" "of the group, mapped 2 times" "$(contained second 'group=g,shmmni=9')"
expect "one in a namespace of its own" "of the group, mapped 2 times" \
  "$(timeout 60 unshare --ipc "$fake_runtime" "$socket" third 'group=g,shmmni=9' -- "$segment" show 5)"
expect "one that is not in it" "shmget: ENOENT" "$(contained fourth 'shmmni=9')"
expect "one with other limits" "of the group, mapped 2 times" "$(contained fifth 'group=g,shmmni=8')"
grep -q "warning: container fifth: its group 'g' has other limits already, which stay" "$scratch/agent.log" ||
  fail "nobody says so"
for again in $(seq 20); do
  expect "one after the other" "of the group, mapped 2 times" \
    "$(timeout 60 unshare --ipc "$fake_runtime" "$socket" "later-$again" 'group=g,shmmni=9' -- "$segment" show 5)"
done
# Nothing is kept for those that have ended: each of them had a namespace.
wait_until 20 holds_namespaces 1 ||
  fail "namespaces are held: $(ls -l "/proc/$agent/fd")"
end_holders
assert_nothing_left

heading "the group is another when its last container has ended"
expect "an empty one" "shmget: ENOENT" "$(contained first 'group=g,shmmni=3')"
expect "lines in the log" 2 "$(wc -l <"$scratch/agent.log")"

heading "a crowd of quiet containers"
crowd=300
before_kib=$(resident_kib)
for one in $(seq "$crowd"); do
  "$fake_runtime" "$socket" "crowd-$one" '' -- "$segment" hold 5 text >"$scratch/crowd-$one.out" &
  holders+=($!)
done
all_held() { [ "$(cat "$scratch"/crowd-*.out | grep -cx held)" = "$crowd" ]; }
wait_until 60 all_held || fail "not all could attach"
wait_until 30 has_threads_of_rest || fail "the quiet keep $(count_threads) threads"
echo "a quiet container with a segment: $((($(resident_kib) - before_kib) / crowd)) KiB and" \
  "$((($(count_descriptors) - descriptors_at_rest) / crowd)) descriptors"
end_holders
assert_nothing_left

stop_agent || fail "status $?"
assert_kernel_table_empty
