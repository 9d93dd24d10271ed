#!/bin/bash
# Job control: the same keys typed at a shell give the same, with and without shmvisor.
. "$(dirname "$0")/../lib.sh" || exit 1
[ -x /usr/bin/python3 ] || skip "/usr/bin/python3 is missing (Debian package python3)"
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
session=$(dirname "$0")/job_control.py
[ "${session#/}" != "$session" ] || session=$OLDPWD/$session

timeout --kill-after=10 80 /usr/bin/python3 "$session" >native 2>native.err ||
  fail "the native session ended with $?: $(cat native native.err)"
timeout --kill-after=10 80 /usr/bin/python3 "$session" "$SHMVISOR" run -- >supervised 2>supervised.err ||
  fail "the supervised session ended with $?: $(diff -u native supervised; tail -n 40 supervised.err)"
diff -u native supervised || fail "the sessions differ: $(tail -n 40 supervised.err)"

# With a process group of its own all is the same but one thing: Ctrl-C is the command's alone, so
# that what stands behind it in a pipeline ends by itself.
sed -i 's/^pipeline interrupted status 130$/pipeline interrupted status 0/' native
for option in --own-group --group; do
  timeout --kill-after=10 80 /usr/bin/python3 "$session" "$SHMVISOR" run "$option" -- >supervised 2>supervised.err ||
    fail "the session with $option ended with $?: $(diff -u native supervised; tail -n 40 supervised.err)"
  diff -u native supervised || fail "the sessions with $option differ: $(tail -n 40 supervised.err)"
done
assert_kernel_table_empty
