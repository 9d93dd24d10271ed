#!/bin/bash
# Perl and Python programs, whose signal handlers are without SA_RESTART, under 1,400 signals a second: a
# shm call succeeds or fails with EINTR, which has changed nothing, and at the end everything is there once.
# Natively and supervised; says how many calls were interrupted.
. "$(dirname "$0")/../lib.sh" || exit 1
here=$(cd "$(dirname "$0")" && pwd)
need perl perl
perl -MIPC::SysV=shmat -e 1 2>/dev/null || skip "IPC::SysV is missing (Debian package perl)"
[ -x /usr/bin/python3 ] || skip "/usr/bin/python3 is missing (Debian package python3)"
/usr/bin/python3 -c 'import sysv_ipc' 2>/dev/null || skip "python3-sysv-ipc is missing"
enter_namespaces "$@"
make_scratch

# What both programs have at the end: the segment that they keep, attached eight times.
cat >"$scratch/wanted.py" <<'END'
Python signals came: True
Python segments and attaches [8]
sysv_ipc signals came: True
sysv_ipc segments 1 attached: True
END
cat >"$scratch/wanted.pl" <<'END'
Perl segments and attaches [8]
Perl signals came: True
END

# compare WANTED PROGRAM...
compare() {
  local wanted=$1
  shift
  unshare --ipc timeout --kill-after=10 120 "$@" >"$scratch/out" 2>"$scratch/err" ||
    fail "natively: status $?: $(cat "$scratch/out" "$scratch/err")"
  diff -u "$wanted" "$scratch/out" || fail "natively"
  grep -qvE ': 0 (of|attaches) ' "$scratch/err" && fail "interrupted natively: $(cat "$scratch/err")"
  supervised "$@" >"$scratch/out" 2>"$scratch/err" ||
    fail "supervised: status $?: $(cat "$scratch/out" "$scratch/err")"
  diff -u "$wanted" "$scratch/out" || fail "supervised"
  grep -vE '^(Python|sysv_ipc|Perl): [0-9]+ ' "$scratch/err" && fail "shmvisor's log is not empty"
  cat "$scratch/err"
}

rounds=2000
compare "$scratch/wanted.py" /usr/bin/python3 "$here/interrupted.py" "$rounds"
compare "$scratch/wanted.pl" perl "$here/interrupted.pl" "$rounds"
assert_kernel_table_empty
