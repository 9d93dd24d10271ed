#!/bin/bash
# many.sh FAKE_RUNTIME COUNT: COUNT containers that start, leave segments and end, some at a time; the
# agent is as it was before. (SHMVISOR_CONTAINERS in the environment overrides COUNT.)
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
. "$(dirname "$0")/lib.sh" || exit 1
make_scratch
fake_runtime=$1
count=${SHMVISOR_CONTAINERS:-$2}
lanes=4

start_agent
remember_rest

# some_containers NAME COUNT
some_containers() {
  local lane lanes_pids=()
  for lane in $(seq "$lanes"); do
    timeout --kill-after=10 600 "$fake_runtime" "$socket" "$1-$lane-%d" 'shmmax=1M' "$(($2 / lanes))" &
    lanes_pids+=($!)
  done
  for lane in "${lanes_pids[@]}"; do
    wait "$lane" || fail "a container could not use its shared memory"
  done
}

heading "what the allocator keeps is there after the first containers"
some_containers first $((count / 10 < 200 ? 200 : count / 10))
assert_nothing_left
before_kib=$(resident_kib)

heading "$count containers"
some_containers more "$count"
assert_nothing_left
after_kib=$(resident_kib)
echo "resident: $before_kib KiB before, $after_kib KiB after"
# Under a sanitizer what is freed is kept for a while.
[ -n "${SHMVISOR_SANITIZED:-}" ] || [ $((after_kib - before_kib)) -le 2048 ] ||
  fail "the agent grew from $before_kib to $after_kib KiB"

heading "the same container id again and again, and one group"
for name in same-id group; do
  metadata=
  [ "$name" = same-id ] || metadata='group=lonely,shmmni=3'
  timeout --kill-after=10 120 "$fake_runtime" "$socket" "$name" "$metadata" 50 || fail "$name"
done
assert_nothing_left

stop_agent || fail "status $?"
assert_silent "$scratch/agent.log"
assert_kernel_table_empty
