#!/bin/bash
# detach_targets.sh TARGET [TARGET_OF_I386]: segments are taken out of processes that are hard to hold: of another ABI,
# frozen, with filters of their own. What is told is what has happened; threads come back; stamps are those of a shmdt,
# and none where nothing was taken.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3
target=$1
target_of_i386=${2:-}
ulimit -c 0

group=
for root in /sys/fs/cgroup/unified /sys/fs/cgroup; do
  [ -e "$root/cgroup.procs" ] || continue
  group=$root/shmvisor-detach-$$-$(stat -Lc %i /proc/self/ns/pid)
  mkdir "$group" 2>/dev/null && [ -e "$group/cgroup.freeze" ] && break
  rmdir "$group" 2>/dev/null
  group=
done
leave_group() {
  [ -n "$group" ] || return 0
  echo 0 >"$group/cgroup.freeze"
  wait_until 10 rmdir "$group"
}
trap 'leave_group; rm -rf --one-file-system "$scratch"' EXIT

cat >"$scratch/all.sh" <<'EOS'
while read -r name program what; do
  "$program" "$1" "$name" "$what" &
done <"$1/list"
wait
EOS
# begin LINE...: a run with these targets: NAME PROGRAM WHAT.
begin() {
  rm -f "$scratch"/over "$scratch"/*.look "$scratch"/*.told
  printf '%s\n' "$@" >"$scratch/list"
  local name names
  names=$(cut -d' ' -f1 "$scratch/list")
  for name in $names; do rm -f "$scratch/$name"; done
  start_run db -v -- bash "$scratch/all.sh" "$scratch"
  for name in $names; do
    wait_until 30 test -s "$scratch/$name" || fail "$name does not begin: $(cat "$scratch/db.log")"
  done
}
end() {
  touch "$scratch/over"
  wait "$run"
  expect "the command's exit status" 0 $?
  rm -f "$scratch"/*.told
  cut -d' ' -f1 "$scratch/list" | (cd "$scratch" && xargs -r rm -f)
}
pid_of() { cat "$scratch/$1"; }
looked() {
  touch "$scratch/$1.look"
  wait_until 20 test -e "$scratch/$1.told" || fail "$1 does not tell: $(cat "$scratch/db.log")"
  cat "$scratch/$1.told"
}
field() { client ls --json | python3 -c 'import json, sys
print([s[sys.argv[1]] for s in json.load(sys.stdin)["segments"] if s["key"] == "0x00000077"][0])' "$1"; }
is_untraced() { grep -q "^TracerPid:.0$" "/proc/$1/status"; }
threads() { find "/proc/$run/task" -mindepth 1 -maxdepth 1 | wc -l; }

for signal in SIGSEGV SIGBUS; do
  heading "stamps, $signal"
  begin "one $target plain"
  expect "no time of a detach" 0 "$(field dtime)"
  before=$(date +%s)
  client detach 0 --signal "$signal" >/dev/null || fail "detach ends with $?"
  [ "$(field dtime)" -ge "$before" ] || fail "no time of a detach: $(client ls --json)"
  expect "last process" "$(pid_of one)" "$(field lpid)"
  expect "attaches" 0 "$(field nattch)"
  expect "what it sees" "$signal, 0 SIGSYS, its own mmap maps" "$(looked one)"
  end
done

if [ -n "$target_of_i386" ]; then
  for signal in SIGSEGV SIGBUS; do
    heading "a process of i386, $signal"
    begin "small $target_of_i386 plain" "large $target plain"
    client detach 0 --signal "$signal" >"$scratch/told" || fail "detach ends with $?"
    expect "processes" 2 "$(grep -c " 1 *16384$" "$scratch/told")"
    expect "attaches" 0 "$(field nattch)"
    expect "what it sees" "$signal, 0 SIGSYS, its own mmap maps" "$(looked small)"
    expect "what the other sees" "$signal, 0 SIGSYS, its own mmap maps" "$(looked large)"
    end
  done
fi

for signal in SIGSEGV SIGBUS; do
  heading "filters of their own, $signal"
  begin "errno $target errno" "trap $target trap" "kill $target kill" "plain $target plain"
  said 1 "process $(pid_of errno): a mapping of it stays: Operation not permitted" \
    client detach 0 --process "$(pid_of errno)" --signal "$signal"
  own="a seccomp filter of its own forbids what detaches it, or has killed it for that"
  said 1 "process $(pid_of trap): $own" client detach 0 --process "$(pid_of trap)" --signal "$signal"
  expect "nothing is stamped" 0 "$(field dtime)"
  expect "what it sees" "nothing, 0 SIGSYS, its own mmap raises SIGSYS" "$(looked trap)"
  expect "what the first sees" "nothing, 0 SIGSYS, its own mmap fails" "$(looked errno)"
  # As its own mmap would; nobody says that it was detached.
  said 1 "process $(pid_of kill): $own" client detach 0 --process "$(pid_of kill)" --signal "$signal"
  wait_until 10 sh -c '! grep -q "^State:.[^Z]" /proc/$1/status' - "$(pid_of kill)" || fail "it lives"
  # The end of a process leaves no stamp here: limits.md.
  expect "nothing is stamped then" 0 "$(field dtime)"
  client detach 0 --process "$(pid_of plain)" --signal "$signal" >/dev/null || fail "detach ends with $?"
  expect "the last one" "$signal, 0 SIGSYS, its own mmap maps" "$(looked plain)"
  end
done

heading "calls that are dispatched to the program"
begin "sent $target dispatch"
if [ ! -e "$scratch/sent.told" ]; then
  said 1 "process $(pid_of sent): it does not run" client detach 0
  expect "what it sees" "nothing, 0 SIGSYS, its own mmap maps" "$(looked sent)"
fi
end

if [ -n "$group" ]; then
  heading "a frozen process"
  begin "cold $target plain" "warm $target plain"
  cold=$(pid_of cold)
  echo "$cold" >"$group/cgroup.procs"
  echo 1 >"$group/cgroup.freeze"
  wait_until 10 grep -q "frozen 1" "$group/cgroup.events" || fail "it does not freeze"
  before=$(threads)
  said 1 "segment 0 stays in some processes: process $cold: it does not run, as in a frozen cgroup" client detach 0
  expect "the other one" "SIGSEGV, 0 SIGSYS, its own mmap maps" "$(looked warm)"
  expect "the last process is the other one" "$(pid_of warm)" "$(field lpid)"
  wait_until 10 is_untraced "$cold" || fail "it is traced still"
  # One kicks threads that wait, once it is needed, and some stay idle.
  few_threads() { [ "$(threads)" -le $((before + 2)) ]; }
  wait_until 20 few_threads || fail "$before threads before, $(threads) after"
  echo 0 >"$group/cgroup.freeze"
  sleep 1
  expect "it has the segment still" 1 "$(field nattch)"
  expect "which it may use" "nothing, 0 SIGSYS, its own mmap maps" "$(looked cold)"
  client detach 0 >/dev/null || fail "detach ends with $?"
  expect "attaches" 0 "$(field nattch)"
  end
else
  echo "no control group (v2) can be made here: no frozen process"
fi
assert_kernel_table_empty
