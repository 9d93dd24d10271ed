#!/bin/bash
# postgresql.sh user|root: PostgreSQL with all of its shared memory from System V, natively and
# supervised: initdb, a parallel query, a clean stop, a killed postmaster and a refused restart.
# "user": shmvisor itself runs as the database's user; "root": the command changes its user.
. "$(dirname "$0")/../lib.sh" || exit 1
variant=${1:-user}
ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1 || skip "PostgreSQL is missing (Debian package postgresql)"
enter_namespaces "$@"
make_scratch

# Any user that has a name will do, as long as it is not root; nobody is one.
user='setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --'
install -m 755 "$(dirname "$0")/postgresql_session.sh" "$scratch/session"
install -d -o 65534 -g 65534 -m 700 "$scratch/native" "$scratch/supervised"
export HOME=$scratch
cd "$scratch" || fail cd

# shellcheck disable=SC2086
timeout --kill-after=10 180 unshare --ipc $user bash session "$scratch/native" >native.out 2>native.err ||
  fail "the native run ended with $?: $(cat native.out native.err)"

bound_seconds=180
# shellcheck disable=SC2086
if [ "$variant" = root ]; then
  supervised $user bash session "$scratch/supervised" >supervised.out 2>supervised.err
else
  copy_shmvisor_to_scratch
  timeout --kill-after=10 180 $user "$SHMVISOR" run -- bash session "$scratch/supervised" \
    >supervised.out 2>supervised.err
fi || fail "the supervised run ended with $?: $(cat supervised.out supervised.err)"

diff -u native.out supervised.out || fail "the sessions differ"
diff -u native.err supervised.err || fail "standard error differs"
grep -q 'Workers Launched: 2' supervised.out || fail "no parallel worker: $(cat supervised.out)"
grep -q 'FATAL: pre-existing shared memory block .* is still in use' supervised.out ||
  fail "the restart was not refused: $(cat supervised.out)"
assert_kernel_table_empty
