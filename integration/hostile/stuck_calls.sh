# stuck_calls.sh PROGRAM: a user keeps as many calls in service as it can. Others find threads, and the
# threads come back with its end.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
program=$1

timeout --kill-after=10 200 "$SHMVISOR" run --no-linger -- "$program" 2>"$scratch/log" </dev/null
status=$?
[ $status != 77 ] || exit 77
[ $status = 0 ] || fail "status $status"
lines=$(wc -l <"$scratch/log")
[ "$lines" -lt 30 ] || fail "$lines lines in the log"
! grep -q RLIMIT_NPROC "$scratch/log" || fail "the log tells of RLIMIT_NPROC, which is not the cause: $(cat "$scratch/log")"
assert_kernel_table_empty
