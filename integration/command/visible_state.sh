#!/bin/bash
# What can be seen of shmvisor, as the table of limits says: a caller sleeps, PR_GET_SECCOMP is 2, and
# valgrind --sanity-level=3 and 4 finds the call page, which --without call-page keeps away. Where
# something is no longer seen, its row is out of date.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
enter_namespaces "$@"
make_scratch

filters=$(awk '$1 == "Seccomp:" { print $2 }' /proc/self/status)
unshare --ipc "$programs/command_visible_state" >"$scratch/native" || fail "natively: status $?"
supervised "$programs/command_visible_state" >"$scratch/out" 2>"$scratch/err" || fail "status $?"
assert_silent "$scratch/err"
expect "natively" "PR_GET_SECCOMP ${filters:-0}
a caller is seen asleep: no" "$(cat "$scratch/native")"
expect "supervised" "PR_GET_SECCOMP 2
a caller is seen asleep: yes" "$(cat "$scratch/out")"
assert_kernel_table_empty

command -v valgrind >/dev/null || skip "valgrind is missing (Debian package valgrind)"
under_valgrind() { # LEVEL OPTION...
  local level=$1
  shift
  timeout --kill-after=10 120 "$SHMVISOR" run "$@" -- valgrind -q "--sanity-level=$level" \
    "$programs/command_many_attaches" >"$scratch/out" 2>"$scratch/err"
}
under_valgrind 1 || fail "under valgrind: $(cat "$scratch/out" "$scratch/err")"
expect "under valgrind" "8 attaches" "$(cat "$scratch/out")"
for level in 3 4; do
  ! under_valgrind $level || fail "the limits say that valgrind --sanity-level=$level finds the call page"
  grep -q am_do_sync_check "$scratch/err" || fail "level $level: $(cat "$scratch/err")"
  under_valgrind $level --without call-page || fail "level $level without the page: $(cat "$scratch/err")"
  expect "level $level without the page" "8 attaches" "$(cat "$scratch/out")"
done
assert_kernel_table_empty
