#!/bin/bash
# A supervisor that is killed at any moment of its command's calls leaves nothing wrong there: the
# call in service is made again and fails with ENOSYS, and no signal stays blocked, no register
# changed, no descriptor open. For who has the call page: eight attaches come before.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
need python3 python3
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
options=--proc=off
! "$SHMVISOR" run --help | grep -q -- --no-kill || options="$options --no-kill"
kill_often() {
  python3 "$(dirname "$0")/supervisor_killed.py" "$programs/command_supervisor_killed" 20 60 "$@" >out 2>err
}
# shellcheck disable=SC2086
kill_often $options || fail "$(cat out err)"
# Who is not left to the page's code has the descriptor a little before that.
# shellcheck disable=SC2086
kill_often $options --without user-dispatch-config
! grep -v -e 'a descriptor is left' -e '^end$' out || fail "when not left to it: $(cat out err)"
grep -qx end out || fail "$(cat out err)"
# Who never has the page is killed as well, in the middle of what it runs for the supervisor.
# shellcheck disable=SC2086
for more in '' '--without wait-killable-recv'; do
  kill_often $options --without call-page $more
  ! grep -v -e 'a descriptor is left' -e 'did not end' -e '^end$' out || fail "stepped, $more: $(cat out err)"
  grep -qx end out || fail "$(cat out err)"
done
assert_kernel_table_empty
