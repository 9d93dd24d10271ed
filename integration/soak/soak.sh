#!/bin/bash
# soak.sh PROGRAM: many cycles of attach and detach, create and remove, fork; the supervisor has as
# many descriptors and threads, and as much memory, afterwards as after the warm-up.
. "$(dirname "$0")/../lib.sh" || exit 1
program=$1
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd

attaches=60000 creations=35000 forks=5000
slack_kib=4096
if [ -n "${SHMVISOR_SANITIZED:-}" ]; then
  # Sanitizers are slow, and keep freed memory for a while.
  attaches=3000 creations=2000 forks=300
  slack_kib=65536
fi

descriptors() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }
threads() { find "/proc/$1/task" -mindepth 1 -maxdepth 1 | wc -l; }
field() { awk -v name="$2:" '$1 == name {print $2}' "/proc/$1/$3"; }
measure() {
  echo "$(descriptors "$1") $(threads "$1") $(field "$1" RssAnon status) $(field "$1" Pss smaps_rollup)"
}

# soak KIND COUNT
soak() {
  local kind=$1 count=$2
  rm -f gate.* done.*
  "$SHMVISOR" run -- "$program" "$kind" "$count" "$scratch/gate" "$scratch/done" >out 2>err &
  local shmvisor=$!
  running() { kill -0 "$shmvisor" 2>/dev/null; }
  reached() { [ -e "done.$1" ] || ! running; }
  wait_until 120 reached warm || fail "$kind: the warm-up does not end"
  running || fail "$kind: ended early: $(cat out err)"
  # What is let go a little later has time to go.
  sleep 0.3
  local before after
  before=$(measure "$shmvisor")
  touch gate.warm
  wait_until 400 reached end || fail "$kind: does not end"
  running || fail "$kind: ended early: $(cat out err)"
  local b a settled=
  read -ra b <<<"$before"
  # Up to three serving threads more may stay parked (Server::kMostParked).
  for _ in $(seq 100); do
    after=$(measure "$shmvisor")
    read -ra a <<<"$after"
    if [ "${a[0]}" -le $((b[0] + 2)) ] && [ "${a[1]}" -le $((b[1] + 3)) ] &&
      [ "${a[2]}" -le $((b[2] + slack_kib)) ] && [ "${a[3]}" -le $((b[3] + slack_kib)) ]; then
      settled=yes
      break
    fi
    sleep 0.1
  done
  printf '%-7s %6d cycles: descriptors %d -> %d, threads %d -> %d, RssAnon %d -> %d KiB, PSS %d -> %d KiB\n' \
    "$kind" "$count" "${b[0]}" "${a[0]}" "${b[1]}" "${a[1]}" "${b[2]}" "${a[2]}" "${b[3]}" "${a[3]}"
  [ -n "$settled" ] || fail "$kind: the supervisor has grown"
  touch gate.end
  wait "$shmvisor"
  expect "$kind: exit status ($(cat out))" 0 $?
  assert_silent err
}

soak attach "$attaches"
soak create "$creations"
soak fork "$forks"
assert_kernel_table_empty
