#!/bin/bash
# --populate and --commit: which pages are there when; and that a segment which there is no memory
# for is refused, where else the first touches would end in the OOM killer.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
enter_namespaces "$@"
make_scratch

# prints WANTED PAGES OPTION...
prints() {
  local wanted=$1 pages=$2
  shift 2
  got=$(timeout --kill-after=10 60 "$SHMVISOR" run "$@" -- "$programs/command_page_counts" "$pages" 2>"$scratch/err" </dev/null)
  expect "$* with $pages pages" "$wanted" "$got"
  assert_silent "$scratch/err"
}
prints 'made 0 attached 0' 100
prints 'made 0 attached 100' 100 --populate
prints 'made 100 attached 100' 100 --commit
prints 'made 100 attached 100' 100 --populate --commit
SHMVISOR_COMMIT=1 prints 'made 100 attached 100' 100
available=$(awk '/^(MemAvailable|SwapFree):/ { sum += $2 } END { print sum / 4 }' /proc/meminfo)
prints ENOMEM "$((available + 100000))" --commit

# A cgroup with a memory limit: version 1, or version 2 where the controller can be had.
group=
for folder in /sys/fs/cgroup/memory /sys/fs/cgroup; do
  [ -z "$group" ] || break
  candidate=$folder/shmvisor-memory-policy-$$
  mkdir "$candidate" 2>/dev/null || continue
  for limit in memory.limit_in_bytes memory.max; do
    if { echo $((128 << 20)) >"$candidate/$limit"; } 2>/dev/null; then group=$candidate; fi
  done
  [ -n "$group" ] || rmdir "$candidate"
done
[ -n "$group" ] || skip "no cgroup with a memory limit can be made here; the rest passed"
leave() {
  for _ in $(seq 100); do
    rmdir "$group" 2>/dev/null && break
    sleep 0.05
  done
  rm -rf --one-file-system "$scratch"
}
trap leave EXIT
# In a shell of its own, which the OOM killer would take along.
inside() {
  # shellcheck disable=SC2016
  bash -c 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"' x "$group" \
    timeout --kill-after=10 60 "$SHMVISOR" run --commit -- "$programs/command_page_counts" "$1" 2>"$scratch/err" </dev/null
}
expect 'beyond the limit of the cgroup' ENOMEM "$(inside 65536)"
expect 'within the limit of the cgroup' 'made 4096 attached 4096' "$(inside 4096)"
assert_silent "$scratch/err"
assert_kernel_table_empty
