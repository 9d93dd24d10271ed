#!/bin/bash
# A supervisor that is killed at any moment of its command's calls leaves nothing wrong there: the
# call in service is made again and fails with ENOSYS, and no signal stays blocked, no register
# changed, no descriptor open. Only what the table of limits says may happen: a caller that runs
# system calls for its supervisor step by step is killed with it (tracer_killed.c shows why).
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
need python3 python3
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
readonly times=60

# kill_often QUIET ALLOWED OPTION...: kills after QUIET attaches; of all faults ALLOWED alone may happen.
kill_often() {
  local quiet=$1 allowed=$2
  shift 2
  python3 "$(dirname "$0")/supervisor_killed.py" "$programs/command_supervisor_killed" "$quiet" $times \
    --proc=off --no-kill "$@" >out 2>err
  ! grep -vxE "[0-9]+ of $times: ($allowed)|end" out || fail "after $quiet attaches, $*: $(cat out err)"
  grep -qx end out || fail "$(cat out err)"
  echo "after $quiet attaches, ${*:-with all features}: $(grep -vx end out || echo 'nothing wrong')"
}

# The first attaches, and those that give the caller the call page.
kill_often 0 killed
# Who has the page completes each call without the supervisor, but for those at which a call site is changed.
kill_often 20 killed
# Whose call sites lead into the page is not held at all.
kill_often 60 none
kill_often 60 none --without late-call-sites
kill_often 20 none --without call-sites
# Who has it and is not left alone with it gets the descriptor a little before that.
kill_often 20 'shmat: a descriptor is left' --without user-dispatch-config
# Who never has it.
for more in '' '--without wait-killable-recv'; do
  # shellcheck disable=SC2086
  kill_often 20 killed --without call-page $more
done
# Whose wait for an answer signals end is lent the descriptor while it is held.
kill_often 20 killed --without wait-killable-recv
assert_kernel_table_empty
